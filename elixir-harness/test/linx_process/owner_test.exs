defmodule LinxProcess.OwnerTest do
  use TestSupport.Case, async: true

  defp owner, do: spawn(fn -> receive do: (:exit -> :ok) end)

  defp start(options) do
    argv = Keyword.get(options, :argv, ["/bin/sleep", "1000"])
    {:ok, session} = LinxProcess.spawn(argv, [auto_proceed: true] ++ Keyword.delete(options, :argv))
    :ok = LinxProcess.await(session, :running)
    {:ok, pid} = LinxProcess.host_pid(session)
    {session, pid}
  end

  test "the workload ends with its owner" do
    owner = owner()
    {session, pid} = start(owner: owner, orphan_policy: {:kill, 0})
    waiter = Task.async(fn -> LinxProcess.wait(session) end)
    eventually(fn -> :sys.get_state(session).waiters != [] end)
    send(owner, :exit)
    assert Task.await(waiter, deadline()) == {:error, :owner_down}
    eventually(fn -> not OS.alive?(pid) end)
    eventually(fn -> not Process.alive?(session) end)
  end

  test "one that ignores SIGTERM after the grace of its policy" do
    owner = owner()
    directory = tmp_dir()
    argv = ["/bin/sh", "-c", "trap '' TERM; : >#{directory}/up; while :; do sleep 0.05; done"]
    {_session, pid} = start(owner: owner, argv: argv, orphan_policy: {:kill, 50})
    eventually(fn -> File.exists?("#{directory}/up") end)
    send(owner, :exit)
    eventually(fn -> not OS.alive?(pid) end)
  end

  test "or stays, by policy" do
    owner = owner()
    {session, pid} = start(owner: owner, orphan_policy: :linger)
    {:ok, %{agent_pid: agent}} = LinxProcess.info(session)
    send(owner, :exit)
    eventually(fn -> not Process.alive?(session) end)
    eventually(fn -> not OS.alive?(agent) end)
    assert OS.alive?(pid)
    OS.kill(pid)
  end

  test "a child at the checkpoint never stays" do
    owner = owner()
    {:ok, session} = LinxProcess.spawn(["/bin/sleep", "1000"], owner: owner, orphan_policy: :linger)
    :ok = LinxProcess.await(session, :ready)
    {:ok, pid} = LinxProcess.host_pid(session)
    send(owner, :exit)
    eventually(fn -> not OS.alive?(pid) end)
  end

  test "an owner may hand its session on" do
    owner = owner()
    {session, pid} = start(owner: owner)
    assert LinxProcess.set_owner(session, self()) == :ok
    send(owner, :exit)
    eventually(fn -> not Process.alive?(owner) end)
    assert {:ok, %{state: :running}} = LinxProcess.info(session)
    assert OS.alive?(pid)

    assert LinxProcess.signal(session, :sigkill) == :ok
    assert events(session) == [{:signaled, 9}]
    assert LinxProcess.set_owner(session, self()) == {:error, :ended}
  end

  test "a session may have no owner" do
    {session, _pid} = start(owner: nil)
    assert LinxProcess.stop(session) == {:signaled, 15}
    refute_received {:linx_process, ^session, _event}
  end

  test "an agent that is killed is one terminal event, at each state" do
    for state <- [:spawned, :ready, :running] do
      {:ok, session} = LinxProcess.spawn(["/bin/sleep", "1000"], auto_proceed: state == :running)
      :ok = LinxProcess.await(session, state)
      {:ok, %{agent_pid: agent, host_pid: pid}} = LinxProcess.info(session)
      OS.kill(agent)
      assert only_terminal(session) == {:error, :agent_died}
      eventually(fn -> not OS.alive?(pid) end)
    end
  end

  test "a workload that may linger survives its agent" do
    {session, pid} = start(orphan_policy: :linger)
    {:ok, %{agent_pid: agent}} = LinxProcess.info(session)
    OS.kill(agent)
    assert only_terminal(session) == {:error, :agent_died}
    assert OS.alive?(pid)
    OS.kill(pid)
  end
end
