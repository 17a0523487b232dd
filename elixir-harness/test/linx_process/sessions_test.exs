defmodule LinxProcess.SessionsTest do
  # It counts and stops all sessions of the node.
  use TestSupport.Case, async: false

  alias LinxProcess.Sessions

  setup do
    eventually(fn -> Sessions.count() == 0 end)
    :ok
  end

  test "are listed with what they run, until their end" do
    {:ok, parked} = LinxProcess.spawn(["/bin/sleep", "1"])
    {:ok, running} = LinxProcess.spawn(["/bin/sleep", "1000"], auto_proceed: true)
    :ok = LinxProcess.await(parked, :ready)
    :ok = LinxProcess.await(running, :running)
    eventually(fn -> hd(Sessions.list()).run_ms > 0 end)

    assert Sessions.count() == 2
    assert [first, second] = Sessions.list()
    assert %{session: ^running, kind: :spawn, argv: ["/bin/sleep", "1000"]} = first
    assert %{session: ^parked, argv: ["/bin/sleep", "1"], run_ms: 0} = second
    assert {:ok, first.host_pid} == LinxProcess.host_pid(running)
    assert {:ok, %{session: ^running, state: :running}} = Sessions.inspect(running)

    LinxProcess.stop(running)
    assert [%{session: ^parked}] = Sessions.list()
    LinxProcess.stop(parked)
    assert Sessions.list() == []
    # It still answers.
    assert {:ok, %{state: :ended, terminal: {:signaled, 15}}} = Sessions.inspect(running)
  end

  test "are stopped all at once" do
    sessions =
      for n <- 1..10 do
        {:ok, session} = LinxProcess.spawn(["/bin/sleep", "1000"], auto_proceed: rem(n, 2) == 0)
        :ok = LinxProcess.await(session, if(rem(n, 2) == 0, do: :running, else: :ready))
        session
      end

    stopped = Sessions.stop_all()
    assert Enum.sort(Enum.map(stopped, &elem(&1, 0))) == Enum.sort(sessions)
    assert Enum.count(stopped, &(elem(&1, 1) == {:signaled, 15})) == 5
    assert Enum.count(stopped, &match?({_session, {:aborted, _pid}}, &1)) == 5
    assert Sessions.count() == 0
    assert Sessions.stop_all() == []
  end
end
