defmodule LinxProcess.RunTest do
  use TestSupport.Case, async: true

  alias LinxProcess.{Error, OptionError, Result}

  defp sh(script, options \\ []), do: LinxProcess.run(["/bin/sh", "-c", script], options)

  test "status, stdout and stderr" do
    assert {:ok, %Result{} = result} = sh("echo out; echo err >&2; exit 3")
    assert %{status: {:exited, 3}, stdout: "out\n", stderr: "err\n", bytes: 8} = result
    assert result.host_pid > 0
    refute Result.ok?(result)
    assert {:ok, %{status: {:signaled, 11}}} = sh("kill -SEGV $$")
    assert clean_mailbox()
  end

  test "stderr may be thrown away" do
    assert {:ok, %{stdout: "out\n", stderr: ""}} = sh("echo out; echo err >&2", stderr: :devnull)
  end

  test "input of any size, also one that nobody reads" do
    data = :rand.bytes(3_000_000)
    assert {:ok, %{stdout: ^data}} = LinxProcess.run(["cat"], input: data)
    assert {:ok, %{stdout: "ab"}} = LinxProcess.run(["cat"], input: [?a, ["b"]])
    assert {:ok, %{status: {:exited, 0}}} = LinxProcess.run(["true"], input: data)
    assert {:ok, %{stdout: ""}} = LinxProcess.run(["cat"])
    assert clean_mailbox()
  end

  test "output on both at once, more than any buffer holds" do
    script = "head -c 2000000 /dev/zero & head -c 1000000 /dev/zero >&2; wait"
    assert {:ok, %{stdout: out, stderr: err}} = sh(script)
    assert {byte_size(out), byte_size(err)} == {2_000_000, 1_000_000}
  end

  test "into a collectable" do
    assert {:ok, %{stdout: list}} = sh("printf ab", into: [])
    assert Enum.join(list) == "ab"
  end

  test "a collectable that raises leaves no workload behind" do
    directory = tmp_dir()
    script = "echo $$ >#{directory}/pid; echo x; exec sleep 1000"
    assert_raise RuntimeError, "full", fn -> sh(script, into: %TestSupport.Breaks{}) end
    pid = directory |> Path.join("pid") |> File.read!() |> String.trim()
    refute OS.alive?(pid)
    assert clean_mailbox()
  end

  test "a timeout stops it, and the result so far is in the error" do
    assert {:error, %Error{stage: :timeout, result: result} = error} =
             sh("echo early; exec sleep 1000", timeout: 300)

    assert %{stdout: "early\n", status: {:signaled, 15}} = result
    assert Exception.message(error) =~ "timeout"
    refute OS.alive?(result.host_pid)

    # One that ignores SIGTERM is killed after the grace.
    script = "trap '' TERM; echo trapped; while :; do sleep 1; done"
    assert {:error, %Error{stage: :timeout, result: result}} = sh(script, timeout: 300, grace: 50)
    assert result.status == {:signaled, 9}
    assert clean_mailbox()
  end

  test "so does too much output" do
    assert {:error, %Error{stage: :max_bytes, result: result}} =
             LinxProcess.run(["yes"], max_bytes: 1001)

    assert byte_size(result.stdout) == 1001
    assert result.status == {:signaled, 15}
    assert {:ok, %{stdout: "12345"}} = sh("printf 12345", max_bytes: 5)
    assert {:error, %Error{stage: :max_bytes}} = sh("printf 123; printf 456 >&2", max_bytes: 5)
  end

  test "failures of the session" do
    assert {:error, %Error{stage: :execve, errno: 2}} = LinxProcess.run(["/no/such"])
    assert {:error, %Error{stage: :binary}} = LinxProcess.run(["true"], binary: "/no/such")

    agent = FakeAgent.write!(tmp_dir(), [{:sh, "exit 1"}])
    assert {:error, %Error{stage: :agent_died}} = LinxProcess.run(["true"], binary: agent)
    assert clean_mailbox()
  end

  test "options that cannot be" do
    for {key, value} <- [
          timeout: -1,
          timeout: 5_000_000_000,
          into: 5,
          max_bytes: "1",
          stderr: :stdout,
          input: 1,
          input: [:no_byte],
          checkpoint: fn -> :ok end,
          stdio: :pty,
          owner: self(),
          target: nil,
          target: 0,
          cwd: 1
        ] do
      assert {:error, %OptionError{key: ^key}} = LinxProcess.run(["true"], [{key, value}])
    end

    assert {:error, %OptionError{key: :options}} = LinxProcess.run(["true"], :timeout)
    assert {:error, %OptionError{key: :argv}} = LinxProcess.run("true")
  end

  test "a checkpoint of another shape ends the program" do
    assert {:error, %Error{stage: :checkpoint}} =
             LinxProcess.run(["true"], checkpoint: fn _session -> :foo end)
  end

  test "the checkpoint may do things, and refuse" do
    checkpoint = fn session -> LinxProcess.cap_drop_bounding(session, [:sys_boot]) end

    assert {:ok, %{stdout: bounding}} =
             LinxProcess.run(["grep", "CapBnd", "/proc/self/status"], checkpoint: checkpoint)

    [mask] = Regex.run(~r/[0-9a-f]{16}/, bounding)
    assert Bitwise.band(String.to_integer(mask, 16), Bitwise.bsl(1, 22)) == 0

    assert {:error, %Error{stage: :checkpoint} = error} =
             LinxProcess.run(["true"], checkpoint: fn _session -> {:error, :not_today} end)

    assert Exception.message(error) =~ "not_today"

    assert_raise RuntimeError, "oops", fn ->
      LinxProcess.run(["true"], checkpoint: fn _session -> raise "oops" end)
    end

    # What the agent says about a failed command is the better error.
    assert {:error, %Error{stage: :seccomp_install}} =
             LinxProcess.run(["true"],
               checkpoint: fn session -> LinxProcess.seccomp_install(session, "1") end
             )

    assert clean_mailbox()
  end

  test "a grandchild that holds the output is not waited for" do
    assert {:ok, result} = sh("sleep 1000 & echo $!")
    pid = String.trim(result.stdout)
    assert OS.alive?(pid)
    OS.kill(pid)
  end

  test "a grandchild that goes on writing does not hold the end back" do
    assert {:ok, result} = sh("yes & echo $! >&2")
    pid = String.trim(result.stderr)
    OS.kill(pid)
  end

  test "other messages stay where they are" do
    send(self(), {:tcp, :other, "data"})
    send(self(), {:linx_process, self(), :running})
    assert {:ok, _result} = LinxProcess.run(["true"])
    assert_received {:tcp, :other, "data"}
    assert_received {:linx_process, _pid, :running}
  end

  test "a caller that is killed takes the program with it" do
    directory = tmp_dir()
    script = "echo $$ >#{directory}/new; mv #{directory}/new #{directory}/pid; exec sleep 1000"
    {caller, monitor} = spawn_monitor(fn -> sh(script, orphan_policy: {:kill, 0}) end)

    pid =
      eventually(fn ->
        with({:ok, pid} <- File.read("#{directory}/pid"), do: pid, else: (_ -> nil))
      end)

    Process.exit(caller, :kill)
    assert_receive {:DOWN, ^monitor, :process, ^caller, :killed}, deadline()
    eventually(fn -> not OS.alive?(String.trim(pid)) end)
  end

  defp clean_mailbox, do: Process.info(self(), :messages) == {:messages, []}
end
