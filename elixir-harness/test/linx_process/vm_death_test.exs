defmodule LinxProcess.VMDeathTest do
  @moduledoc """
  What a workload does when its Erlang VM is killed, or stops.
  """

  use TestSupport.Case, async: true

  # Prints the pid of a workload that runs, and the one of its agent, and stays.
  defp vm(options, stay \\ "Process.sleep(:infinity)") do
    code = """
    {:ok, _} = Application.ensure_all_started(:linx_process)
    {argv, options} = #{inspect(options)}
    {:ok, session} = LinxProcess.spawn(argv, options)
    state = if options[:auto_proceed], do: :running, else: :ready
    :ok = LinxProcess.await(session, state)
    {:ok, info} = LinxProcess.info(session)
    IO.puts("\#{info.host_pid} \#{info.agent_pid}")
    #{stay}
    """

    vm = VM.start(code)
    [workload, agent] = vm |> VM.line() |> String.split() |> Enum.map(&String.to_integer/1)
    {vm, workload, agent}
  end

  defp kill(vm) do
    OS.kill(vm.os_pid)
    assert VM.line(vm) == {:exit_status, 137}
  end

  test "a VM that is killed takes the workload with it" do
    {vm, workload, agent} = vm({["/bin/sleep", "1000"], auto_proceed: true})
    kill(vm)
    eventually(fn -> not OS.alive?(workload) and not OS.alive?(agent) end)
  end

  test "after the grace, when the workload ignores SIGTERM" do
    directory = tmp_dir()
    script = "trap '' TERM; : >#{directory}/up; while :; do sleep 0.05; done"

    {vm, workload, agent} =
      vm(
        {["/bin/sh", "-c", script],
         auto_proceed: true, orphan_policy: {:kill, 100}, stdio: :devnull}
      )

    eventually(fn -> File.exists?("#{directory}/up") end)
    kill(vm)
    eventually(fn -> not OS.alive?(workload) and not OS.alive?(agent) end)
  end

  test "or leaves it, by policy" do
    {vm, workload, agent} =
      vm({["/bin/sleep", "1000"], auto_proceed: true, orphan_policy: :linger, stdio: :devnull})

    kill(vm)
    eventually(fn -> not OS.alive?(agent) end)
    assert OS.alive?(workload)
    OS.kill(workload)
  end

  test "a child at the checkpoint never stays" do
    {vm, child, agent} = vm({["/bin/sleep", "1000"], orphan_policy: :linger, stdio: :devnull})
    kill(vm)
    eventually(fn -> not OS.alive?(child) and not OS.alive?(agent) end)
  end

  test "a VM that stops in order stops its workloads first" do
    directory = tmp_dir()

    script =
      "trap 'echo term >#{directory}/seen; exit 0' TERM; : >#{directory}/up; while :; do sleep 0.01; done"

    {vm, workload, _agent} =
      vm(
        {["/bin/sh", "-c", script], auto_proceed: true, stdio: :devnull},
        """
        wait = fn wait -> if File.exists?("#{directory}/up"), do: :ok, else: wait.(wait) end
        wait.(wait)
        System.stop()
        Process.sleep(:infinity)
        """
      )

    assert VM.line(vm) == {:exit_status, 0}
    refute OS.alive?(workload)
    assert File.read!("#{directory}/seen") == "term\n"
  end
end
