defmodule LinxProcess.FakeAgentTest do
  @moduledoc """
  Agents that break the protocol, in every way there is: one terminal event each.
  """

  use TestSupport.Case, async: true

  setup do
    {:ok, directory: tmp_dir()}
  end

  defp start(%{directory: directory}, steps, options \\ []) do
    binary = FakeAgent.write!(directory, steps)
    {:ok, session} = LinxProcess.spawn(["/bin/true"], [binary: binary] ++ options)
    session
  end

  test "one that ends without a word", context do
    assert context |> start([{:sh, "exit 0"}]) |> only_terminal() == {:error, :agent_died}
    assert context |> start([{:sh, "kill -9 $$"}]) |> only_terminal() == {:error, :agent_died}

    for n <- 1..3 do
      # It reads the request first: a port that cannot write it loses what it was told.
      request = {:read, FakeAgent.frame_size({:spawn, %{argv: ["/bin/true"]}})}
      steps = [request | Enum.take(FakeAgent.up_to_running(), n)] ++ [{:sh, "exit 1"}]
      session = start(context, steps)
      assert length(events(session)) == n + 1
      assert LinxProcess.wait(session) == {:error, :agent_died}
    end
  end

  test "one that is no program", context do
    path = Path.join(context.directory, "junk")
    File.write!(path, :rand.bytes(100))
    File.chmod!(path, 0o755)

    case LinxProcess.spawn(["/bin/true"], binary: path) do
      {:ok, session} -> assert only_terminal(session) == {:error, :agent_died}
      {:error, error} -> assert error.stage == :binary
    end
  end

  for {name, steps} <- [
        {"bytes that are no term", [{:raw, <<0, 0, 0, 4, "junk">>}]},
        {"an empty frame", [{:raw, <<0, 0, 0, 0>>}]},
        {"an atom that nobody knows",
         [{:raw, <<0, 0, 0, 17, 131, 104, 2, 119, 8, "n0_4t0m!", 119, 1, "x", 0>>}]},
        {"a term that is no event", [{:status, :dancing, 1}]},
        {"a stage that there is not", [{:error, 1, :status}]},
        {"an event out of order", [{:status, :running}]},
        {"an event twice", [{:status, :spawned, 1}, {:status, :spawned, 1}]},
        {"output before it runs", [{:status, :spawned, 1}, {:pty_out, "x"}]}
      ] do
    test "#{name}", context do
      steps = unquote(Macro.escape(steps)) ++ [FakeAgent.until_hangup()]
      session = start(context, steps)
      assert only_terminal(session) == {:error, :malformed_frame}
    end
  end

  test "a frame that is cut off", context do
    session = start(context, [{:raw, <<0, 0, 1, 0, 131, 104>>}, {:sh, "exit 0"}])
    assert only_terminal(session) == {:error, :agent_died}
  end

  test "one that goes on after its last word", context do
    terminal = {:status, :exited, 3}

    steps =
      FakeAgent.up_to_running() ++
        [terminal, terminal, {:status, :signaled, 9}, FakeAgent.until_hangup()]

    session = start(context, steps)
    assert only_terminal(session) == {:exited, 3}
    # It has seen the hang-up, so nothing of it can come any more.
    {:ok, info} = LinxProcess.info(session)
    assert info.agent_pid == nil
    assert LinxProcess.signal(session, 15) == {:error, :ended}
  end

  test "one that no longer reads when something is written to it", context do
    marker = Path.join(context.directory, "closed")

    session =
      start(
        context,
        FakeAgent.up_to_running() ++ [{:sh, "exec 3<&-; : >#{marker}; exec sleep 60"}],
        stdio: :pty
      )

    assert LinxProcess.await(session, :running) == :ok
    {:ok, %{agent_pid: agent}} = LinxProcess.info(session)
    eventually(fn -> File.exists?(marker) end)
    # This is EPIPE for the port, which the session learns from the port.
    assert LinxProcess.pty_write(session, "x") in [:ok, {:error, :ended}]
    assert only_terminal(session) == {:error, :agent_died}
    OS.kill(agent)
  end

  test "one that goes away in the middle of a write", context do
    steps = FakeAgent.up_to_running() ++ [{:read, 100_000}, {:sh, "exec 3<&-; exec sleep 60"}]
    session = start(context, steps, stdio: :pty)
    assert LinxProcess.await(session, :running) == :ok
    {:ok, %{agent_pid: agent}} = LinxProcess.info(session)
    # Far more than the pipe holds: the other end closes while most of it waits, or even
    # before it is all handed over.
    data = String.duplicate("x", 1_500_000)
    assert LinxProcess.pty_write(session, data) in [:ok, {:error, :ended}]
    assert only_terminal(session) == {:error, :agent_died}
    assert {:ok, %{state: :ended, queued: _any}} = LinxProcess.info(session)
    OS.kill(agent)
  end

  test "what is kept goes out in order when it runs, and not before", context do
    log = Path.join(context.directory, "log")
    kept = [{:signal, 10}, {:pty_in, "a"}, {:signal, 12}, {:pty_in, "b"}]
    request = {:spawn, %{argv: ["/bin/true"], stdio: :pty}}
    before = FakeAgent.frame_size(request) + FakeAgent.frame_size(:proceed)

    session =
      start(
        context,
        [{:read, before} | FakeAgent.up_to_running()] ++
          [
            {:sh, "head -c #{kept |> Enum.map(&FakeAgent.frame_size/1) |> Enum.sum()} <&3 >#{log}"},
            {:status, :exited, 0}
          ],
        stdio: :pty
      )

    for command <- kept, do: assert(send_early(session, command) == :ok)
    assert LinxProcess.proceed(session) == :ok
    assert only_terminal(session) == {:exited, 0}

    expected =
      for command <- kept,
          frame = :erlang.term_to_binary(command),
          into: "",
          do: <<byte_size(frame)::32, frame::binary>>

    assert File.read!(log) == expected
  end

  defp send_early(session, {:signal, n}), do: LinxProcess.signal(session, n)
  defp send_early(session, {:pty_in, data}), do: LinxProcess.pty_write(session, data)

  test "one that does not read makes the session busy, and nobody waits for it", context do
    session =
      start(context, FakeAgent.up_to_running() ++ [{:sh, "exec sleep 60"}],
        stdio: :pty,
        max_queue: 300_000
      )

    assert LinxProcess.await(session, :running) == :ok
    chunk = String.duplicate("x", 100_000)
    results = for _ <- 1..10, do: LinxProcess.pty_write(session, chunk)
    assert hd(results) == :ok
    assert List.last(results) == {:error, :busy}

    {:ok, info} = LinxProcess.info(session)
    assert info.queued in 1..300_000
    OS.kill(info.agent_pid)
    assert only_terminal(session) == {:error, :agent_died}
  end

  test "one that takes its time gets everything, in order", context do
    marker = Path.join(context.directory, "read")
    log = Path.join(context.directory, "log")
    request = {:spawn, %{argv: ["/bin/true"], stdio: :pty}}
    data = :rand.bytes(1_000_000)

    session =
      start(
        context,
        [{:read, FakeAgent.frame_size(request)} | FakeAgent.up_to_running()] ++
          [{:sh, "while ! [ -e #{marker} ]; do :; done; exec cat <&3 >#{log}"}],
        stdio: :pty
      )

    assert LinxProcess.await(session, :running) == :ok
    assert LinxProcess.pty_write(session, data) == :ok
    assert LinxProcess.signal(session, 28) == :ok
    {:ok, info} = LinxProcess.info(session)
    assert info.queued > 0

    File.touch!(marker)
    frames = eventually(fn -> whole_frames(log, 17) end)
    assert {written, [{:signal, 28}]} = Enum.split(frames, -1)
    assert for({:pty_in, chunk} <- written, into: "", do: chunk) == data
    eventually(fn -> match?({:ok, %{queued: 0}}, LinxProcess.info(session)) end)
    OS.kill(info.agent_pid)
    assert only_terminal(session) == {:error, :agent_died}
  end

  # The frames in the log, once there are that many.
  defp whole_frames(log, count) do
    with {:ok, bytes} <- File.read(log),
         frames = decode_all(bytes),
         true <- length(frames) == count do
      frames
    else
      _not_yet -> nil
    end
  end

  defp decode_all(bytes) do
    for <<size::32, frame::binary-size(size) <- bytes>>, do: :erlang.binary_to_term(frame)
  end

  test "one that does not react when it is told to stop is killed", context do
    session =
      start(context, FakeAgent.up_to_running() ++ [{:sh, "exec sleep 60"}],
        stdio: :pty,
        owner: nil
      )

    assert LinxProcess.await(session, :running) == :ok
    {:ok, %{agent_pid: agent}} = LinxProcess.info(session)
    # It has more to read than its pipe holds, so the port cannot just be closed.
    assert LinxProcess.pty_write(session, String.duplicate("x", 1_000_000)) == :ok
    assert LinxProcess.stop(session, 0) == {:error, :agent_died}
    eventually(fn -> not OS.alive?(agent) end)
    eventually(fn -> match?({:ok, %{agent_pid: nil}}, LinxProcess.info(session)) end)
  end
end
