defmodule LinxProcess.PoolTest do
  use TestSupport.Case, async: true

  alias LinxProcess.{Error, OptionError, Pool}

  defp pool(options \\ [size: 3]) do
    pool = start_supervised!({Pool, options})
    eventually(fn -> Pool.available(pool) == options[:size] end)
    pool
  end

  defp agents(pool) do
    for session <- Map.keys(:sys.get_state(pool).idle),
        {:ok, info} <- [LinxProcess.info(session)] do
      assert %{state: :idle, argv: nil, owner: ^pool} = info
      info.agent_pid
    end
  end

  test "a session takes an agent that waits, and another one is started for it" do
    pool = pool()
    waiting = agents(pool)
    {:ok, session} = Pool.spawn(pool, ["/bin/sleep", "1000"], auto_proceed: true)
    {:ok, %{agent_pid: agent, owner: owner}} = LinxProcess.info(session)
    assert agent in waiting
    assert owner == self()
    eventually(fn -> Pool.available(pool) == 3 end)
    refute agent in agents(pool)
    assert LinxProcess.stop(session) == {:signaled, 15}
    assert [{:spawned, _}, {:ready, _}, :running, {:signaled, 15}] = events(session)
  end

  test "enters too" do
    pool = pool()

    {:ok, target} =
      LinxProcess.spawn(["/bin/sleep", "1000"], namespaces: [:uts], auto_proceed: true)

    :ok = LinxProcess.await(target, :running)
    {:ok, pid} = LinxProcess.host_pid(target)
    {:ok, session} = Pool.enter(pool, pid, ["/bin/sleep", "1000"], auto_proceed: true)
    :ok = LinxProcess.await(session, :running)
    {:ok, inside} = LinxProcess.host_pid(session)
    assert OS.namespace(inside, "uts") == OS.namespace(pid, "uts")
    assert LinxProcess.stop(session) == {:signaled, 15}
    assert LinxProcess.stop(target) == {:signaled, 15}
  end

  test "an empty pool starts what it is asked for" do
    pool = pool(size: 1)
    sessions = for _ <- 1..5, do: elem(Pool.spawn(pool, ["/bin/true"], auto_proceed: true), 1)
    assert Enum.map(sessions, &LinxProcess.wait/1) == List.duplicate({:exited, 0}, 5)
    eventually(fn -> Pool.available(pool) == 1 end)
  end

  test "an agent that dies while it waits is replaced" do
    pool = pool()
    [dead | _others] = agents(pool)
    OS.kill(dead)
    eventually(fn -> Pool.available(pool) == 3 and dead not in agents(pool) end)
    {:ok, session} = Pool.spawn(pool, ["/bin/true"], auto_proceed: true)
    assert LinxProcess.wait(session) == {:exited, 0}
  end

  test "one that dies in the very moment is passed over" do
    pool = pool()
    for agent <- agents(pool), do: OS.kill(agent)
    {:ok, session} = Pool.spawn(pool, ["/bin/true"], auto_proceed: true)
    # It may have died behind the request as well; that is an end like any other.
    assert LinxProcess.wait(session) in [{:exited, 0}, {:error, :agent_died}]
  end

  test "its agents end with it, its sessions stay" do
    pool = pool()
    {:ok, session} = Pool.spawn(pool, ["/bin/sleep", "1000"], auto_proceed: true)
    eventually(fn -> Pool.available(pool) == 3 end)
    waiting = agents(pool)
    assert stop_supervised(Pool) == :ok
    for agent <- waiting, do: eventually(fn -> not OS.alive?(agent) end)
    assert {:ok, %{terminal: nil}} = LinxProcess.info(session)
    assert LinxProcess.stop(session) == {:signaled, 15}
  end

  test "what cannot be" do
    Process.flag(:trap_exit, true)
    assert {:error, %OptionError{key: :size}} = Pool.start_link(size: 0)
    assert {:error, %OptionError{key: :binary}} = Pool.start_link(binary: 1)
    assert {:error, %OptionError{key: :colour}} = Pool.start_link(size: 1, colour: :red)
    pool = pool(size: 1)
    assert {:error, %OptionError{key: :argv}} = Pool.spawn(pool, [])
    assert {:error, %OptionError{key: :target}} = Pool.enter(pool, -1, ["x"])
    assert {:error, %OptionError{key: :options}} = Pool.spawn(pool, ["x"], 1)
    huge = String.duplicate("x", 4 * 1024 * 1024)
    assert {:error, %Error{stage: :request_too_big}} = Pool.spawn(pool, ["/bin/true", huge])
    eventually(fn -> Pool.available(pool) == 1 end)
  end

  test "a pool without a binary is empty, and says why when it is asked" do
    {:ok, pool} = Pool.start_link(binary: "/no/such", size: 2)
    assert Pool.available(pool) == 0
    assert {:error, %Error{stage: :binary}} = Pool.spawn(pool, ["/bin/true"])
  end
end
