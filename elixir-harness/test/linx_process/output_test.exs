defmodule LinxProcess.OutputTest do
  use TestSupport.Case, async: true

  require LinxProcess.Output
  alias LinxProcess.Output

  # What the agent does, and then it writes.
  defp connect(path) do
    {:ok, socket} = :gen_tcp.connect({:local, path}, 0, [:binary, active: false])
    socket
  end

  defp open do
    {:ok, output, [stdout: {:connect_unix, path}]} = Output.open([:stdout])
    socket = connect(path)
    {:ok, output} = Output.accept(output)
    {output, socket, path}
  end

  defp next(output) do
    %{sockets: sockets} = output

    receive do
      message when Output.is_message(message, sockets) -> Output.message(output, message)
    after
      deadline() -> flunk("nothing comes")
    end
  end

  test "the sockets' directory is private, and gone once they are connected" do
    {:ok, output, [stderr: {:connect_unix, err}, stdout: {:connect_unix, out}]} =
      Output.open([:stdout, :stderr])

    directory = Path.dirname(out)
    assert directory == Path.dirname(err)
    assert Bitwise.band(File.stat!(directory).mode, 0o777) == 0o700
    sockets = [connect(out), connect(err)]
    {:ok, output} = Output.accept(output)
    refute File.exists?(directory)
    assert Output.close(output) == :ok
    for socket <- sockets, do: assert(:gen_tcp.recv(socket, 0) == {:error, :closed})
  end

  test "and gone when they never are" do
    {:ok, output, [stdout: {:connect_unix, path}]} = Output.open([:stdout])
    assert Output.close(output) == :ok
    refute File.exists?(Path.dirname(path))
  end

  test "and gone when who opened them is killed before" do
    test = self()

    {opener, monitor} =
      spawn_monitor(fn ->
        send(test, Output.open([:stdout, :stderr]))
        receive do: (:never -> :ok)
      end)

    assert_receive {:ok, _output, [{_stream, {:connect_unix, path}} | _others]}, deadline()
    assert File.exists?(path)
    Process.exit(opener, :kill)
    assert_receive {:DOWN, ^monitor, :process, ^opener, :killed}, deadline()
    eventually(fn -> not File.exists?(Path.dirname(path)) end)
  end

  test "one chunk comes for one demand" do
    {output, socket, _path} = open()
    :ok = :gen_tcp.send(socket, "one")
    output = output |> Output.demand() |> Output.demand()
    assert {:data, :stdout, "one", output} = next(output)
    :ok = :gen_tcp.send(socket, "two")
    refute_receive {:tcp, _socket, _data}, 0
    output = Output.demand(output)
    assert {:data, :stdout, "two", output} = next(output)
    :gen_tcp.close(socket)
    output = Output.demand(output)
    assert {:eof, output} = next(output)
    assert {:done, output} = Output.drain(output)
    assert Output.close(output) == :ok
  end

  test "what is there is drained, asked for or not, and nobody is waited for" do
    for asked <- [false, true] do
      {output, socket, _path} = open()
      output = if asked, do: Output.demand(output), else: output
      :ok = :gen_tcp.send(socket, "rest")
      assert {:data, :stdout, "rest", output} = Output.drain(output)
      assert {:done, output} = Output.drain(output)
      assert Output.close(output) == :ok
    end
  end

  test "a writer that never stops is not drained for ever" do
    {output, socket, _path} = open()
    writer = spawn_link(fn -> write_on(socket) end)
    :ok = :gen_tcp.controlling_process(socket, writer)
    assert {:done, output} = drain_all(output)
    assert Output.close(output) == :ok
  end

  defp write_on(socket) do
    case :gen_tcp.send(socket, String.duplicate("x", 65_536)) do
      :ok -> write_on(socket)
      {:error, _closed} -> :ok
    end
  end

  defp drain_all(output) do
    case Output.drain(output) do
      {:data, :stdout, _data, output} -> drain_all(output)
      done -> done
    end
  end

  test "close leaves no message behind" do
    {output, socket, _path} = open()
    output = Output.demand(output)
    :ok = :gen_tcp.send(socket, "x")
    assert Output.close(output) == :ok
    assert Process.info(self(), :messages) == {:messages, []}
  end

  test "a directory that is too deep is said so" do
    deep = Path.join(tmp_dir(), String.duplicate("d", 100))
    File.mkdir_p!(deep)

    code = """
    {:error, error} = LinxProcess.Output.open([:stdout])
    IO.inspect({error.stage, error.errno, File.ls!(#{inspect(deep)})})
    """

    vm = VM.start(code, env: [{"TMPDIR", deep}])
    assert VM.line(vm) == "{:output, 36, []}"
    assert VM.line(vm) == {:exit_status, 0}
  end
end
