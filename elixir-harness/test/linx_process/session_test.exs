defmodule LinxProcess.SessionTest do
  use TestSupport.Case, async: true

  alias LinxProcess.{Error, OptionError}

  @sleep ["/bin/sleep", "1000"]

  describe "from request to end" do
    test "the events come in order, and the terminal one once" do
      {:ok, session} = LinxProcess.spawn(["/bin/true"], auto_proceed: true)

      assert [{:spawned, pid}, {:ready, inner}, :running, {:exited, 0}] = events(session)
      assert pid == inner
      assert LinxProcess.wait(session) == {:exited, 0}
      refute OS.alive?(pid)
    end

    test "an exit status and a signal are told apart" do
      {:ok, session} = LinxProcess.spawn(["/bin/sh", "-c", "exit 42"], auto_proceed: true)
      assert only_terminal(session) == {:exited, 42}

      {:ok, session} = LinxProcess.spawn(["/bin/sh", "-c", "kill -9 $$"], auto_proceed: true)
      assert only_terminal(session) == {:signaled, 9}
    end

    test "a failure has its stage and its number" do
      {:ok, session} = LinxProcess.spawn(["/no/such"], auto_proceed: true)
      assert {:error, %Error{stage: :execve, errno: 2} = error} = only_terminal(session)
      assert Exception.message(error) =~ "no such file"

      {:ok, session} = LinxProcess.spawn(["/bin/true"], cwd: "/no/such", auto_proceed: true)
      assert {:error, %Error{stage: :chdir, errno: 2}} = only_terminal(session)

      path = "/tmp/" <> String.duplicate("x", 120)
      {:ok, session} = LinxProcess.spawn(["/bin/true"], stdio: [stdin: {:connect_unix, path}])
      assert {:error, %Error{stage: :connect_unix, errno: 36}} = only_terminal(session)
    end

    test "what cannot be asked for is refused before anything starts" do
      assert {:error, %OptionError{key: :argv}} = LinxProcess.spawn([])

      for target <- [nil, 0] do
        assert {:error, %OptionError{key: :target}} = LinxProcess.enter(target, ["/bin/true"])
      end

      assert {:error, %OptionError{key: :options}} = LinxProcess.spawn(["/bin/true"], :pty)
      big = [String.duplicate("x", 4 * 1024 * 1024)]
      assert {:error, %Error{stage: :request_too_big}} = LinxProcess.spawn(["/bin/true" | big])
    end

    test "a binary that is missing, or cannot be executed, is said so" do
      assert {:error, %Error{stage: :binary, errno: 2}} =
               LinxProcess.spawn(["/bin/true"], binary: "/no/such/agent")

      assert {:error, %Error{stage: :binary, errno: 13} = error} =
               LinxProcess.spawn(["/bin/true"], binary: "/etc/passwd")

      assert Exception.message(error) =~ "/etc/passwd"
      assert Exception.message(error) =~ "not executable"
    end

    test "the environment is the one given" do
      {:ok, result} = LinxProcess.run(["/usr/bin/env"], env: %{"A" => "1"})
      assert result.stdout == "A=1\n"
    end

    test "a session answers for as long as it is retained, then it is gone" do
      {:ok, session} = LinxProcess.spawn(["/bin/true"], auto_proceed: true, retain: 0)
      assert only_terminal(session) == {:exited, 0}
      eventually(fn -> not Process.alive?(session) end)
      assert LinxProcess.wait(session) == {:error, :noproc}
      assert LinxProcess.info(session) == {:error, :noproc}
      assert LinxProcess.signal(session, 15) == {:error, :noproc}
    end
  end

  describe "at the checkpoint" do
    test "the child is there and has not executed" do
      {:ok, session} = LinxProcess.spawn(@sleep)
      assert LinxProcess.await(session, :ready) == :ok
      {:ok, pid} = LinxProcess.host_pid(session)
      assert {:ok, info} = LinxProcess.info(session)

      assert %{state: :ready, argv: @sleep, host_pid: ^pid, terminal: nil, run_ms: 0} = info
      assert info.owner == self()
      assert OS.alive?(info.agent_pid)
      assert File.read!("/proc/#{pid}/cmdline") == File.read!("/proc/#{info.agent_pid}/cmdline")

      assert LinxProcess.abort(session) == :ok
      assert {:aborted, ^pid} = only_terminal(session)
      refute OS.alive?(pid)
    end

    test "the checkpoint's verbs are refused once it is over" do
      {:ok, session} = LinxProcess.spawn(@sleep)
      assert LinxProcess.proceed(session) == :ok

      for verb <- [
            &LinxProcess.proceed/1,
            &LinxProcess.abort/1,
            &LinxProcess.cap_set_ambient(&1, 0),
            &LinxProcess.seccomp_install(&1, "")
          ] do
        assert verb.(session) == {:error, :not_at_checkpoint}
      end

      assert LinxProcess.await(session, :running) == :ok
      assert LinxProcess.proceed(session) == {:error, :not_at_checkpoint}
      assert LinxProcess.stop(session) == {:signaled, 15}

      for verb <- [
            &LinxProcess.proceed/1,
            &LinxProcess.signal(&1, 15),
            &LinxProcess.pty_write(&1, "")
          ] do
        assert verb.(session) == {:error, :ended}
      end
    end

    test "a signal that is sent early is delivered once the workload runs" do
      {:ok, session} = LinxProcess.spawn(@sleep)
      assert LinxProcess.signal(session, :sigint) == :ok
      assert LinxProcess.await(session, :ready) == :ok
      assert LinxProcess.proceed(session) == :ok
      assert [{:spawned, _}, {:ready, _}, :running, {:signaled, 2}] = events(session)
    end

    test "namespaces are created" do
      all = [:mount, :uts, :ipc, :cgroup, :net, :time, :pid, :user]
      {:ok, session} = LinxProcess.spawn(@sleep, namespaces: all)
      assert LinxProcess.await(session, :ready) == :ok
      {:ok, %{host_pid: pid, inner_pid: 1}} = LinxProcess.info(session)

      for {name, file} <- Enum.zip(all, ~w(mnt uts ipc cgroup net time pid user)) do
        assert {name, OS.namespace(pid, file)} != {name, OS.namespace("self", file)}
      end

      assert {:aborted, 1} = LinxProcess.stop(session)
    end
  end

  describe "capabilities and filters" do
    test "are in force in the workload" do
      {:ok, session} = LinxProcess.spawn(["/bin/sleep", "1000"])
      assert LinxProcess.cap_drop_bounding(session, [:sys_admin, :net_raw]) == :ok
      assert LinxProcess.cap_set_thread(session, [:chown], [:chown, :kill], [:kill]) == :ok
      assert LinxProcess.cap_set_ambient(session, [:kill]) == :ok
      # BPF_RET | BPF_K, SECCOMP_RET_ALLOW
      assert LinxProcess.seccomp_install(session, <<0x06::16-native, 0, 0, 0x7FFF0000::32-native>>) ==
               :ok

      assert LinxProcess.proceed(session) == :ok
      assert LinxProcess.await(session, :running) == :ok

      {:ok, pid} = LinxProcess.host_pid(session)
      status = File.read!("/proc/#{pid}/status")
      assert Bitwise.band(field(status, "CapBnd", 16), Bitwise.bsl(1, 21) + Bitwise.bsl(1, 13)) == 0
      assert field(status, "CapAmb", 16) == Bitwise.bsl(1, 5)
      assert field(status, "Seccomp", 10) == 2
      assert field(status, "NoNewPrivs", 10) == 1
      assert LinxProcess.stop(session) == {:signaled, 15}
    end

    test "that fail end the session with their stage" do
      {:ok, session} = LinxProcess.spawn(@sleep)
      assert LinxProcess.seccomp_install(session, "seven..") == :ok
      assert {:error, %Error{stage: :seccomp_install, errno: 22}} = only_terminal(session)

      {:ok, session} = LinxProcess.spawn(@sleep)
      # No kernel has capability 63.
      assert LinxProcess.cap_set_ambient(session, Bitwise.bsl(1, 63)) == :ok
      assert {:error, %Error{stage: :cap_set_ambient, errno: 22}} = only_terminal(session)
    end

    test "that cannot be are refused here" do
      {:ok, session} = LinxProcess.spawn(@sleep)

      assert {:error, %OptionError{key: :capabilities}} =
               LinxProcess.cap_set_ambient(session, [:all])

      assert {:error, %OptionError{key: :capabilities}} = LinxProcess.cap_drop_bounding(session, -1)
      assert {:error, %OptionError{key: :seccomp}} = LinxProcess.seccomp_install(session, [])
      assert {:error, %OptionError{key: :signal}} = LinxProcess.signal(session, 0)
      assert LinxProcess.pty_write(session, "x") == {:error, :no_pty}
      assert LinxProcess.pty_winsize(session, 1, 1) == {:error, :no_pty}
      assert {:aborted, _pid} = LinxProcess.stop(session)
    end
  end

  describe "waiting" do
    test "has a timeout, and the session goes on" do
      {:ok, session} = LinxProcess.spawn(@sleep)
      assert LinxProcess.wait(session, 1) == {:error, :timeout}
      assert LinxProcess.await(session, :running, 1) == {:error, :timeout}
      assert LinxProcess.await(session, :ready) == :ok
      assert {:aborted, _pid} = LinxProcess.stop(session)
    end

    test "takes no time that there is not, and the session does not mind" do
      {:ok, session} = LinxProcess.spawn(@sleep)

      for bad <- [-1, 1.5, :never, 0x100000000] do
        assert_raise FunctionClauseError, fn -> LinxProcess.wait(session, bad) end
        assert_raise FunctionClauseError, fn -> LinxProcess.await(session, :ready, bad) end
        assert_raise FunctionClauseError, fn -> LinxProcess.stop(session, bad) end
      end

      assert {:aborted, _pid} = LinxProcess.stop(session)
    end

    test "many wait, and all get the same" do
      {:ok, session} = LinxProcess.spawn(["/bin/sh", "-c", "exit 7"])
      waiters = for _ <- 1..20, do: Task.async(fn -> LinxProcess.wait(session) end)
      assert LinxProcess.proceed(session) == :ok
      assert Task.await_many(waiters) == List.duplicate({:exited, 7}, 20)
    end

    test "for a state that never comes tells the end instead" do
      {:ok, session} = LinxProcess.spawn(["/no/such"], auto_proceed: true)

      assert {:error, {:ended, {:error, %Error{stage: :execve}}}} =
               LinxProcess.await(session, :running)
    end
  end

  describe "stopping" do
    test "is SIGTERM first" do
      {:ok, session} = LinxProcess.spawn(@sleep, auto_proceed: true)
      assert LinxProcess.await(session, :running) == :ok
      assert LinxProcess.stop(session) == {:signaled, 15}
      assert LinxProcess.stop(session) == {:signaled, 15}
      assert only_terminal(session) == {:signaled, 15}
    end

    test "is SIGKILL after the grace" do
      script = "trap '' TERM; echo trapped; while :; do sleep 1; done"
      {:ok, session} = LinxProcess.spawn(["/bin/sh", "-c", script], stdio: :pty, auto_proceed: true)
      pty_until(session, "trapped")
      assert LinxProcess.stop(session, 50) == {:signaled, 9}
      assert only_terminal(session) == {:signaled, 9}
    end

    test "of a workload that has not started yet" do
      {:ok, session} = LinxProcess.spawn(@sleep, auto_proceed: true)
      assert LinxProcess.stop(session) == {:signaled, 15}
    end
  end

  describe "entering" do
    test "runs inside the namespaces of the target" do
      {:ok, target} = LinxProcess.spawn(@sleep, namespaces: [:uts, :ipc, :net], auto_proceed: true)
      assert LinxProcess.await(target, :running) == :ok
      {:ok, pid} = LinxProcess.host_pid(target)

      {:ok, all} =
        LinxProcess.run(["/bin/readlink", "/proc/self/ns/net", "/proc/self/ns/uts"], target: pid)

      assert all.stdout == "#{OS.namespace(pid, "net")}\n#{OS.namespace(pid, "uts")}\n"

      {:ok, session} = LinxProcess.enter(pid, @sleep, namespaces: [:net], auto_proceed: true)
      assert LinxProcess.await(session, :running) == :ok
      {:ok, inside} = LinxProcess.host_pid(session)
      assert OS.namespace(inside, "net") == OS.namespace(pid, "net")
      assert OS.namespace(inside, "uts") == OS.namespace("self", "uts")

      assert LinxProcess.stop(session) == {:signaled, 15}
      assert LinxProcess.stop(target) == {:signaled, 15}
    end

    test "a target that is gone is an error, never a workload outside" do
      {:ok, target} = LinxProcess.spawn(["/bin/true"], namespaces: [:net], auto_proceed: true)
      {:spawned, pid} = hd(events(target))
      {:ok, session} = LinxProcess.enter(pid, ["/bin/true"], auto_proceed: true)
      assert {:error, %Error{stage: :open_ns_proc}} = only_terminal(session)
    end
  end

  defp field(status, name, base) do
    [_line, value] = Regex.run(~r/^#{name}:\t([0-9a-f]+)$/m, status)
    String.to_integer(value, base)
  end
end
