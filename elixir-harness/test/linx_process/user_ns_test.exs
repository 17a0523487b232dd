defmodule LinxProcess.UserNSTest do
  use TestSupport.Case, async: true

  alias LinxProcess.{Error, OptionError, UserNS}

  defp start(argv \\ ["/bin/sleep", "1000"]) do
    {:ok, session} = LinxProcess.spawn(argv, namespaces: [:user])
    :ok = LinxProcess.await(session, :ready)
    {:ok, pid} = LinxProcess.host_pid(session)
    {session, pid}
  end

  defp map(pid, file) do
    for line <- "/proc/#{pid}/#{file}" |> File.read!() |> String.split("\n", trim: true) do
      line |> String.split() |> Enum.map(&String.to_integer/1) |> List.to_tuple()
    end
  end

  test "root inside is whoever runs this" do
    {session, pid} = start()
    {uid, gid} = UserNS.own_ids()
    assert UserNS.map_root(session) == :ok
    assert map(pid, "uid_map") == [{0, uid, 1}]
    assert map(pid, "gid_map") == [{0, gid, 1}]
    assert {:aborted, _pid} = LinxProcess.stop(session)

    {:ok, result} =
      LinxProcess.run(["/bin/sh", "-c", "id -u; id -g"],
        namespaces: [:user],
        checkpoint: &UserNS.map_root/1
      )

    assert result.stdout == "0\n0\n"
  end

  test "any ranges, as root" do
    {session, pid} = start()
    uid = [{0, 100_000, 1000}, {1000, 0, 1}, {1001, 101_001, 64_535}]
    assert UserNS.map(session, uid: uid, gid: [{0, 200_000, 65_536}], setgroups: :allow) == :ok
    assert map(pid, "uid_map") == uid
    assert map(pid, "gid_map") == [{0, 200_000, 65_536}]
    assert File.read!("/proc/#{pid}/setgroups") == "allow\n"
    assert {:aborted, _pid} = LinxProcess.stop(session)
  end

  test "setgroups may be denied, and a map may be left out" do
    {session, pid} = start()
    assert UserNS.map(session, gid: [{0, 0, 1}], setgroups: :deny) == :ok
    assert File.read!("/proc/#{pid}/setgroups") == "deny\n"
    assert map(pid, "uid_map") == []
    assert {:aborted, _pid} = LinxProcess.stop(session)
  end

  test "what cannot be is an error with its stage, and the session stays" do
    {session, _pid} = start()
    # Ranges that overlap.
    assert {:error, %Error{stage: :uid_map} = error} =
             UserNS.map(session, uid: [{0, 0, 2}, {1, 5, 1}])

    assert Exception.message(error) =~ "uid_map"
    assert {:ok, %{state: :ready}} = LinxProcess.info(session)
    assert UserNS.map_root(session) == :ok
    # Only once, says the kernel.
    assert {:error, %Error{stage: :uid_map}} = UserNS.map_root(session)
    assert {:aborted, _pid} = LinxProcess.stop(session)
  end

  test "what cannot be asked for names its key" do
    {session, pid} = start()

    for option <- [uid_map: [{0, 0, 1}], uid: [], uid: [{0, 1}], gid: [{-1, 0, 1}], setgroups: true] do
      key = elem(option, 0)
      assert {:error, %OptionError{key: ^key}} = UserNS.map(session, [option])
    end

    assert map(pid, "uid_map") == []
    assert {:aborted, _pid} = LinxProcess.stop(session)
  end

  test "a session that has ended is told" do
    {:ok, session} = LinxProcess.spawn(["/no/such"], namespaces: [:user], auto_proceed: true)
    assert {:error, {:ended, {:error, %Error{stage: :execve}}}} = await_end_and_map(session)
  end

  defp await_end_and_map(session) do
    LinxProcess.wait(session)
    UserNS.map_root(session)
  end

  test "rootless: a VM of an ordinary user makes a sandbox" do
    code = """
    {:ok, _} = Application.ensure_all_started(:linx_process)
    options = [namespaces: [:user, :pid, :mount, :uts], checkpoint: &LinxProcess.UserNS.map_root/1]
    {:ok, result} = LinxProcess.run(["/bin/sh", "-c", "id -u; id -g; echo $$"], options)
    IO.inspect({LinxProcess.UserNS.own_ids(), result.stdout})
    """

    vm = VM.start(code, user: 65_534)
    assert VM.line(vm) == ~S({{65534, 65534}, "0\n0\n1\n"})
    assert VM.line(vm) == {:exit_status, 0}
  end

  test "rootless: a larger map is what newuidmap is asked for" do
    directory = tmp_dir()
    File.chmod!(directory, 0o755)
    helper = Path.join(directory, "newuidmap")
    File.write!(helper, ~S(#!/bin/sh
      shift; echo "asked for $*"; exit 1))
    File.chmod!(helper, 0o755)

    code = """
    {:ok, _} = Application.ensure_all_started(:linx_process)
    {:ok, session} = LinxProcess.spawn(["/bin/true"], namespaces: [:user])
    maps = [uid: [{0, 65534, 1}, {1, 100_000, 1000}]]
    System.put_env("PATH", "")
    {:error, error} = LinxProcess.UserNS.map(session, maps)
    IO.puts(Exception.message(error))
    System.put_env("PATH", #{inspect(directory)})
    {:error, error} = LinxProcess.UserNS.map(session, [setgroups: :allow] ++ maps)
    IO.puts(Exception.message(error))
    """

    vm = VM.start(code, user: 65_534)
    assert VM.line(vm) =~ ~r{^uid_map failed: /proc/\d+/uid_map: eperm$}
    assert VM.line(vm) == "uid_map failed: asked for 0 65534 1 1 100000 1000"
    assert VM.line(vm) == {:exit_status, 0}
  end
end
