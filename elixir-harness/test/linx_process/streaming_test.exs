defmodule LinxProcess.StreamingTest do
  use TestSupport.Case, async: true

  alias LinxProcess.{Error, OptionError}

  test "is lazy: nothing runs before it is enumerated, and then each time" do
    directory = tmp_dir()
    stream = LinxProcess.stream!(["/bin/sh", "-c", "echo x >>#{directory}/runs; echo out"])
    refute File.exists?("#{directory}/runs")
    assert Enum.join(stream) == "out\n"
    assert Enum.join(stream) == "out\n"
    assert File.read!("#{directory}/runs") == "x\nx\n"
  end

  test "gives all bytes, in order" do
    sum = :sha256 |> :crypto.hash(String.duplicate("0123456789\n", 200_000)) |> Base.encode16()
    script = "yes 0123456789 | head -n 200000"

    streamed =
      ["/bin/sh", "-c", script]
      |> LinxProcess.stream!()
      |> Enum.reduce(:crypto.hash_init(:sha256), &:crypto.hash_update(&2, &1))
      |> :crypto.hash_final()
      |> Base.encode16()

    assert streamed == sum
  end

  test "makes the program wait for a consumer that stalls" do
    directory = tmp_dir()
    script = "echo $$ >#{directory}/pid; exec dd if=/dev/zero bs=65536 count=400 status=none"
    test = self()

    consumer =
      Task.async(fn ->
        ["/bin/sh", "-c", script]
        |> LinxProcess.stream!()
        |> Enum.reduce(0, fn chunk, bytes ->
          if bytes == 0 do
            send(test, :stalled)
            receive do: (:go_on -> :ok)
          end

          bytes + byte_size(chunk)
        end)
      end)

    assert_receive :stalled, deadline()
    pid = "#{directory}/pid" |> File.read!() |> String.trim()
    # It waits in write(2), and for as long as we like: nobody has asked for more.
    eventually(fn -> writes_to_stdout?(pid) end)
    written = written(pid)
    assert written < 4 * 1024 * 1024
    assert {:memory, memory} = Process.info(consumer.pid, :memory)
    assert memory < 1024 * 1024
    assert writes_to_stdout?(pid)
    assert written(pid) == written

    send(consumer.pid, :go_on)
    assert Task.await(consumer, deadline()) == 400 * 65_536
  end

  # The number of write(2), on amd64 and on arm64, and its first argument; proc(5).
  defp writes_to_stdout?(pid), do: File.read!("/proc/#{pid}/syscall") =~ ~r/^(1|64) 0x1 /

  defp written(pid) do
    [_all, bytes] = Regex.run(~r/^wchar: (\d+)$/m, File.read!("/proc/#{pid}/io"))
    String.to_integer(bytes)
  end

  test "a consumer that stops early stops the program" do
    directory = tmp_dir()
    script = "echo $$ >#{directory}/pid; exec yes"

    assert [<<"y\n", _rest::binary>>] =
             ["/bin/sh", "-c", script] |> LinxProcess.stream!() |> Enum.take(1)

    refute OS.alive?("#{directory}/pid" |> File.read!() |> String.trim())
    assert Process.info(self(), :messages) == {:messages, []}
  end

  test "a consumer that raises too" do
    directory = tmp_dir()
    script = "echo $$ >#{directory}/pid; exec yes"

    assert_raise RuntimeError, fn ->
      ["/bin/sh", "-c", script]
      |> LinxProcess.stream!()
      |> Enum.each(fn _chunk -> raise "no more" end)
    end

    refute OS.alive?("#{directory}/pid" |> File.read!() |> String.trim())
  end

  test "raises when the program does not end well, behind its output" do
    stream = LinxProcess.stream!(["/bin/sh", "-c", "echo x; exit 2"])
    assert_raise Error, ~r/exit status 2/, fn -> Enum.each(stream, &send(self(), &1)) end
    assert_received "x\n"

    assert_raise Error, ~r/SIGKILL/, fn ->
      Stream.run(LinxProcess.stream!(["/bin/sh", "-c", "kill -9 $$"]))
    end

    assert_raise Error, ~r/execve failed: ENOENT/, fn ->
      Stream.run(LinxProcess.stream!(["/no/such"]))
    end
  end

  test "raises for options that cannot be" do
    assert_raise OptionError, ~r/:stderr/, fn ->
      Stream.run(LinxProcess.stream!(["true"], stderr: :capture))
    end

    assert_raise OptionError, ~r/:options/, fn ->
      Stream.run(LinxProcess.stream!(["true"], :cwd))
    end
  end

  test "two at once in one process" do
    one = LinxProcess.stream!(["seq", "1", "20000"])
    two = LinxProcess.stream!(["seq", "1", "30000"])
    lines = fn chunks -> chunks |> Enum.join() |> String.split() |> length() end
    {first, second} = Stream.zip(one, two) |> Enum.unzip()
    assert lines.(first) <= 20_000
    assert lines.(second) <= 30_000
    assert lines.(one) == 20_000
    assert Process.info(self(), :messages) == {:messages, []}
  end
end
