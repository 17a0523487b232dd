defmodule LinxProcess.PtyTest do
  use TestSupport.Case, async: true

  defp start(script, options \\ []) do
    {:ok, session} =
      LinxProcess.spawn(["/bin/sh", "-c", script], [stdio: :pty, auto_proceed: true] ++ options)

    session
  end

  test "the workload has a terminal of the size that was set, before and after" do
    {:ok, session} =
      LinxProcess.spawn(["/bin/sh", "-c", "tty; stty size; read x; stty size"], stdio: :pty)

    assert LinxProcess.pty_winsize(session, 33, 111) == :ok
    assert LinxProcess.proceed(session) == :ok
    assert pty_until(session, "33 111") =~ "/dev/pts/"

    assert LinxProcess.pty_winsize(session, 44, 55, {1, 2}) == :ok
    assert LinxProcess.pty_write(session, "\n") == :ok
    pty_until(session, "44 55")
    assert List.last(events(session)) == {:exited, 0}
    assert {:error, %{key: :winsize}} = LinxProcess.pty_winsize(session, -1, 0)
  end

  test "what is written early is kept, in order" do
    # What the terminal echoes goes between what a program prints, anywhere; a file does not.
    file = Path.join(tmp_dir(), "read")
    {:ok, session} = LinxProcess.spawn(["/bin/sh", "-c", "exec cat >#{file}"], stdio: :pty)
    lines = for n <- 1..50, do: "line #{n}\n"
    for line <- lines, do: assert(LinxProcess.pty_write(session, line) == :ok)
    assert LinxProcess.pty_write(session, [?e, "nd", ["\n", <<4>>]]) == :ok
    assert {:ok, %{queued: queued}} = LinxProcess.info(session)
    assert queued > 0
    assert LinxProcess.proceed(session) == :ok
    assert LinxProcess.wait(session) == {:exited, 0}
    assert File.read!(file) == Enum.join(lines) <> "end\n"
  end

  test "1 MiB reaches a reader that keeps up, byte for byte" do
    # The reader announces that the terminal is raw, and then itself.
    session = start("stty raw -echo; echo go; head -c 1048576 | sha256sum")
    pty_until(session, "go")

    data = :rand.bytes(1024 * 1024)
    assert LinxProcess.pty_write(session, data) == :ok

    sum = :sha256 |> :crypto.hash(data) |> Base.encode16(case: :lower)
    assert pty_until(session, ~r/[0-9a-f]{64}/) =~ sum
    events = events(session)
    assert List.last(events) == {:exited, 0}
    refute Enum.any?(events, &match?({:pty_in_dropped, _}, &1))
  end

  test "what a reader does not take is announced, and the rest is whole" do
    session = start("stty raw -echo; echo go; kill -STOP $$; cat")
    pty_until(session, "go")
    {:ok, pid} = LinxProcess.host_pid(session)
    eventually(fn -> OS.state(pid) == "T" end)

    # Each write fits the queue of the session; the agent's buffer is what runs over.
    chunk = String.duplicate("x", 64 * 1024)
    dropped = write_until_dropped(session, chunk)
    assert dropped == byte_size(chunk)
    assert LinxProcess.stop(session, 0) == {:signaled, 9}
  end

  defp write_until_dropped(session, chunk) do
    case LinxProcess.pty_write(session, chunk) do
      :ok -> :ok
      {:error, :busy} -> :ok
    end

    receive do
      {:linx_process, ^session, {:pty_in_dropped, n}} -> n
    after
      0 -> write_until_dropped(session, chunk)
    end
  end

  test "all output comes before the end" do
    session = start("stty -opost; head -c 3000000 /dev/zero")
    events = events(session)
    bytes = for {:pty_out, data} <- events, reduce: 0, do: (n -> n + byte_size(data))
    assert bytes == 3_000_000
    assert List.last(events) == {:exited, 0}
  end

  test "a grandchild that keeps the terminal does not hold the end back" do
    session = start("trap '' HUP; sleep 1000 & echo $!; exit 5")
    events = events(session)
    assert List.last(events) == {:exited, 5}
    text = for {:pty_out, data} <- events, into: "", do: data
    [_all, pid] = Regex.run(~r/(\d+)/, text)
    OS.kill(pid)
  end

  test "an owner that stalls loses nothing" do
    test = self()

    owner =
      spawn_link(fn ->
        receive do
          {:go_on, session} ->
            events = events(session)

            send(
              test,
              {:sum, for({:pty_out, data} <- events, reduce: 0, do: (n -> n + byte_size(data)))}
            )
        end
      end)

    session = start("stty -opost; head -c 2000000 /dev/zero", owner: owner)
    # The workload has ended before the owner looks at the first byte.
    assert LinxProcess.wait(session) == {:exited, 0}
    send(owner, {:go_on, session})
    assert_receive {:sum, 2_000_000}, deadline()
  end

  test "a queue that is full keeps nobody from proceeding" do
    {:ok, session} = LinxProcess.spawn(["/bin/cat"], stdio: :pty, max_queue: 1_000)
    assert LinxProcess.pty_write(session, String.duplicate("x", 900)) == :ok
    assert LinxProcess.pty_write(session, String.duplicate("x", 900)) == {:error, :busy}
    assert LinxProcess.proceed(session) == :ok
    assert LinxProcess.await(session, :running) == :ok
    assert {:signaled, _signal} = LinxProcess.stop(session)
  end
end
