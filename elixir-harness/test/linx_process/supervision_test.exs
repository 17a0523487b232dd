defmodule LinxProcess.SupervisionTest do
  use TestSupport.Case, async: true

  defp supervisor(options) do
    {:ok, supervisor} =
      Supervisor.start_link([{LinxProcess, options}],
        strategy: :one_for_one,
        max_restarts: 1_000,
        max_seconds: 1
      )

    supervisor
  end

  defp session(supervisor) do
    case Supervisor.which_children(supervisor) do
      [{_id, session, :worker, _modules}] when is_pid(session) -> session
      _none_now -> nil
    end
  end

  test "a session proceeds by itself and needs no owner" do
    supervisor = supervisor(argv: ["/bin/sleep", "1000"])
    session = session(supervisor)
    assert LinxProcess.await(session, :running) == :ok
    assert {:ok, %{owner: nil}} = LinxProcess.info(session)
    assert Supervisor.stop(supervisor) == :ok
  end

  test "a shutdown is SIGTERM, and the workload is gone when it returns" do
    directory = tmp_dir()

    script =
      "trap 'echo term >#{directory}/seen; exit 0' TERM; echo >#{directory}/up; while :; do sleep 0.01; done"

    supervisor = supervisor(argv: ["/bin/sh", "-c", script], stdio: :devnull)
    {:ok, pid} = supervisor |> session() |> running_pid()
    eventually(fn -> File.exists?("#{directory}/up") end)
    assert Supervisor.stop(supervisor) == :ok
    refute OS.alive?(pid)
    assert File.read!("#{directory}/seen") == "term\n"
  end

  test "a workload that ignores SIGTERM is killed after the grace" do
    directory = tmp_dir()
    script = "trap '' TERM; echo >#{directory}/up; while :; do sleep 1; done"

    supervisor =
      supervisor(argv: ["/bin/sh", "-c", script], stdio: :devnull, grace: 50, owner: self())

    session = session(supervisor)
    {:ok, pid} = running_pid(session)
    eventually(fn -> File.exists?("#{directory}/up") end)
    assert Supervisor.stop(supervisor) == :ok
    refute OS.alive?(pid)
    assert List.last(events(session)) == {:signaled, 9}
  end

  test "at the checkpoint too" do
    supervisor = supervisor(argv: ["/bin/sleep", "1000"], auto_proceed: false, owner: self())
    session = session(supervisor)
    assert LinxProcess.await(session, :ready) == :ok
    {:ok, pid} = LinxProcess.host_pid(session)
    assert Supervisor.stop(supervisor) == :ok
    refute OS.alive?(pid)
    assert {:aborted, ^pid} = List.last(events(session))
  end

  test "a permanent session is started again, whatever its end" do
    supervisor = supervisor(argv: ["/bin/sleep", "1000"], restart: :permanent)
    first = session(supervisor)
    {:ok, pid} = running_pid(first)
    OS.kill(pid)

    second = eventually(fn -> (s = session(supervisor)) != first && s end)
    {:ok, %{agent_pid: agent}} = running_info(second)
    OS.kill(agent)
    third = eventually(fn -> (s = session(supervisor)) not in [first, second] && s end)
    assert LinxProcess.stop(third) == {:signaled, 15}
    eventually(fn -> session(supervisor) not in [nil, first, second, third] end)
    assert Supervisor.stop(supervisor) == :ok
  end

  test "a transient one only after a failure" do
    directory = tmp_dir()
    script = "[ -e #{directory}/second ] && exit 0; : >#{directory}/second; exit 3"
    supervisor = supervisor(argv: ["/bin/sh", "-c", script], restart: :transient, stdio: :devnull)
    eventually(fn -> session(supervisor) == nil and File.exists?("#{directory}/second") end)
    assert Supervisor.count_children(supervisor).active == 0
    assert Supervisor.stop(supervisor) == :ok
  end

  test "a temporary one never" do
    supervisor = supervisor(argv: ["/bin/false"])
    eventually(fn -> Supervisor.which_children(supervisor) == [] end)
    assert Supervisor.stop(supervisor) == :ok
  end

  test "options that cannot be, and an agent that is not there, fail the start" do
    Process.flag(:trap_exit, true)

    assert {:error, %LinxProcess.OptionError{key: :cwd}} =
             LinxProcess.start_link(argv: ["x"], cwd: 1)

    assert {:error, %LinxProcess.OptionError{key: :argv}} = LinxProcess.start_link([])

    assert {:error, %LinxProcess.Error{stage: :binary}} =
             LinxProcess.start_link(argv: ["x"], binary: "/no/such")
  end

  test "the specification takes its id and its patience from the options" do
    spec = LinxProcess.child_spec(argv: ["x"], id: :web, restart: :permanent, grace: 10_000)
    assert %{id: :web, restart: :permanent, shutdown: shutdown} = spec
    assert shutdown > 10_000
    assert %{shutdown: default} = LinxProcess.child_spec(argv: ["x"])
    assert %{shutdown: ^default} = LinxProcess.child_spec(argv: ["x"], grace: :never)
    assert {:error, %{key: :grace}} = LinxProcess.start_link(argv: ["x"], grace: :never)
    assert spec.start == {LinxProcess, :start_link, [[argv: ["x"], grace: 10_000]]}
  end

  defp running_pid(session) do
    :ok = LinxProcess.await(session, :running)
    LinxProcess.host_pid(session)
  end

  defp running_info(session) do
    :ok = LinxProcess.await(session, :running)
    LinxProcess.info(session)
  end

  test "the least patient of those who stop a session decides" do
    up = Path.join(tmp_dir(), "up")
    script = "trap '' TERM; echo >#{up}; while :; do sleep 0.01; done"
    {:ok, session} = LinxProcess.spawn(["/bin/sh", "-c", script], auto_proceed: true)
    eventually(fn -> File.exists?(up) end)
    patient = Task.async(fn -> LinxProcess.stop(session, 600_000) end)
    assert LinxProcess.stop(session, 0) == {:signaled, 9}
    assert Task.await(patient) == {:signaled, 9}
  end
end
