defmodule LinxProcess.StressTest do
  @moduledoc """
  Many sessions, in a row and at once; what is counted is this VM's own, so nothing
  else may run meanwhile.
  """

  use TestSupport.Case, async: false

  setup do
    eventually(fn -> LinxProcess.Sessions.count() == 0 end)
    before = resources()

    # on_exit runs in another process, when the ports of this one are gone.
    on_exit(fn -> eventually(fn -> no_more_than(resources(), before) end) end)
    :ok
  end

  defp resources do
    %{
      descriptors: OS.descriptors(),
      ports: length(Port.list()),
      children: length(OS.children(OS.forker()))
    }
  end

  defp no_more_than(now, before), do: Enum.all?(now, fn {what, count} -> count <= before[what] end)

  test "500 workloads that exit while their input is written: each end is told" do
    data = String.duplicate("x", 8_192)

    ends =
      1..500
      |> Task.async_stream(
        fn n ->
          argv = if rem(n, 2) == 0, do: ["/bin/true"], else: ["/bin/sh", "-c", "exit 0"]
          {:ok, session} = LinxProcess.spawn(argv, stdio: :pty, auto_proceed: true, retain: 1_000)
          terminal = hammer(session, data)
          LinxProcess.info(session)
          refute_received {:linx_process, ^session, _event}
          terminal
        end,
        max_concurrency: 4,
        timeout: :infinity
      )
      |> Enum.map(fn {:ok, terminal} -> terminal end)

    assert Enum.frequencies(ends) == %{{:exited, 0} => 500}
  end

  defp hammer(session, data) do
    _any = LinxProcess.pty_write(session, data)
    _any = LinxProcess.signal(session, :sigcont)

    receive do
      {:linx_process, ^session, event} ->
        if terminal?(event), do: event, else: hammer(session, data)
    after
      0 -> hammer(session, data)
    end
  end

  test "200 sessions at once" do
    sessions =
      for _ <- 1..200 do
        {:ok, session} =
          LinxProcess.spawn(["/bin/sleep", "1000"], namespaces: [:uts], retain: 1_000)

        session
      end

    for session <- sessions, do: assert(LinxProcess.await(session, :ready) == :ok)
    assert LinxProcess.Sessions.count() == 200
    for session <- sessions, do: assert(LinxProcess.proceed(session) == :ok)
    for session <- sessions, do: assert(LinxProcess.await(session, :running) == :ok)
    ends = LinxProcess.Sessions.stop_all()
    assert length(ends) == 200
    assert Enum.all?(ends, &match?({_session, {:signaled, 15}}, &1))
    for session <- sessions, do: assert(only_terminal(session) == {:signaled, 15})
  end

  test "100 runs, some of them broken off" do
    for n <- 1..100 do
      case rem(n, 4) do
        0 -> assert {:ok, _result} = LinxProcess.run(["/bin/true"], input: "x")
        1 -> assert {:error, _error} = LinxProcess.run(["/no/such"], input: "x")
        2 -> assert {:error, _error} = LinxProcess.run(["yes"], max_bytes: 10)
        3 -> assert [_chunk] = Enum.take(LinxProcess.stream!(["yes"], stderr: :devnull), 1)
      end
    end
  end

  test "random verbs, with the real agent: one terminal event, and no more" do
    import TestSupport.Proper

    verbs = [
      &LinxProcess.proceed/1,
      &LinxProcess.abort/1,
      &LinxProcess.signal(&1, :sigcont),
      &LinxProcess.signal(&1, :sigusr1),
      &LinxProcess.cap_drop_bounding(&1, [:sys_boot]),
      &LinxProcess.pty_write(&1, "x"),
      &LinxProcess.pty_winsize(&1, 10, 20),
      &LinxProcess.stop(&1, 1_000),
      &LinxProcess.await(&1, :ready),
      &LinxProcess.info/1
    ]

    indexes = :proper_types.list(:proper_types.integer(0, length(verbs) - 1))

    holds(
      forall {pty, indexes} <- {:proper_types.boolean(), indexes} do
        stdio = if pty, do: :pty, else: :devnull
        {:ok, session} = LinxProcess.spawn(["/bin/sleep", "1000"], stdio: stdio, retain: 1_000)
        for index <- indexes, do: Enum.at(verbs, index).(session)
        terminal = LinxProcess.stop(session)
        terminal?(terminal) and only_terminal(session) == terminal
      end,
      100
    )
  end
end
