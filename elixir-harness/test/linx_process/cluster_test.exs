defmodule LinxProcess.ClusterTest do
  @moduledoc """
  Three nodes: one that asks, two that take sessions; then one of these is killed.
  """

  use TestSupport.Case, async: true

  alias LinxProcess.{Cluster, OptionError}
  alias TestSupport.Collector

  setup_all do
    [asks, takes, dies] = TestSupport.Cluster.start(3)
    {:ok, asks: asks, takes: takes, dies: dies}
  end

  defp on({peer, _name}, module, function, arguments) do
    :peer.call(peer, module, function, arguments, :infinity)
  end

  defp start(asks, where, argv, options \\ [auto_proceed: true]) do
    {collector, {:ok, session}} = on(asks, Collector, :start, [where, argv, options])
    {collector, session}
  end

  defp events(asks, collector, session) do
    for {^session, event} <- on(asks, Collector, :events, [collector]), do: event
  end

  defp node_of({_peer, name}), do: name

  test "a session on another node", %{asks: asks, takes: takes} do
    {collector, session} = start(asks, node_of(takes), ["/bin/sleep", "1000"], [])
    assert node(session) == node_of(asks)

    # Every function takes what stands for it.
    assert on(asks, LinxProcess, :await, [session, :ready]) == :ok
    assert [%{argv: ["/bin/sleep", "1000"]}] = on(takes, LinxProcess.Sessions, :list, [])
    assert on(asks, LinxProcess.Sessions, :list, []) == []
    {:ok, pid} = on(asks, LinxProcess, :host_pid, [session])
    assert OS.alive?(pid)
    assert on(asks, LinxProcess, :signal, [session, :sigcont]) == :ok
    assert on(asks, LinxProcess, :pty_write, [session, "x"]) == {:error, :no_pty}
    assert on(asks, LinxProcess, :wait, [session, 1]) == {:error, :timeout}
    assert on(asks, LinxProcess, :proceed, [session]) == :ok
    assert on(asks, LinxProcess, :await, [session, :running]) == :ok
    assert {:ok, %{state: :running, host_pid: ^pid}} = on(asks, LinxProcess, :info, [session])
    assert on(asks, LinxProcess, :stop, [session]) == {:signaled, 15}
    assert on(asks, LinxProcess, :wait, [session]) == {:signaled, 15}

    eventually(fn ->
      match?(
        [{:spawned, ^pid}, {:ready, ^pid}, :running, {:signaled, 15}],
        events(asks, collector, session)
      )
    end)
  end

  test "what cannot be asked for is refused there", %{asks: asks, takes: takes} do
    {_collector, result} = on(asks, Collector, :start, [node_of(takes), [], []])
    assert {:error, %OptionError{key: :argv}} = result
    {_collector, result} = on(asks, Collector, :start, [:"nobody@127.0.0.1", ["/bin/true"], []])
    assert result == {:error, :noconnection}
  end

  test "an owner that goes takes its session on the other node along", %{asks: asks, takes: takes} do
    {collector, session} = start(asks, node_of(takes), ["/bin/sleep", "1000"])
    assert on(asks, LinxProcess, :await, [session, :running]) == :ok
    {:ok, pid} = on(asks, LinxProcess, :host_pid, [session])
    assert on(asks, Process, :exit, [collector, :kill])
    eventually(fn -> not OS.alive?(pid) end)
  end

  test "the least loaded node is chosen, and a node that goes down is one event", context do
    %{asks: asks, takes: takes, dies: dies} = context
    assert {:error, :no_nodes} = on(asks, Cluster, :least_loaded, [])
    for node <- [takes, dies], do: assert(on(node, Cluster, :join, []) == :ok)
    assert on(takes, Cluster, :join, []) == :ok
    expected = Enum.sort([node_of(takes), node_of(dies)])
    eventually(fn -> Enum.sort(on(asks, Cluster, :nodes, [])) == expected end)

    sleep = ["/bin/sleep", "1000"]
    {_collector, first} = start(asks, node_of(takes), sleep)
    {collector, second} = start(asks, :anywhere, sleep)
    assert on(asks, LinxProcess, :await, [first, :running]) == :ok
    assert on(asks, LinxProcess, :await, [second, :running]) == :ok
    assert on(asks, Cluster, :load, []) == %{node_of(takes) => 1, node_of(dies) => 1}
    assert on(dies, LinxProcess.Sessions, :count, []) == 1

    # The node is killed; its workload goes the way of its policy.
    {:ok, pid} = on(asks, LinxProcess, :host_pid, [second])
    {dies_peer, dies_name} = dies
    OS.kill(:peer.call(dies_peer, System, :pid, []))
    eventually(fn -> List.last(events(asks, collector, second)) == {:error, :noconnection} end)
    eventually(fn -> not OS.alive?(pid) end)

    assert on(asks, LinxProcess, :wait, [second]) == {:error, :noconnection}
    assert on(asks, LinxProcess, :signal, [second, 15]) == {:error, :ended}
    assert on(asks, LinxProcess, :stop, [second]) == {:error, :noconnection}
    assert Enum.count(events(asks, collector, second), &terminal?/1) == 1
    eventually(fn -> dies_name not in on(asks, Cluster, :nodes, []) end)

    # The other one has not noticed anything.
    assert on(asks, LinxProcess, :stop, [first]) == {:signaled, 15}
    assert on(takes, Cluster, :leave, []) == :ok
    assert on(takes, Cluster, :leave, []) == :ok
    eventually(fn -> on(asks, Cluster, :nodes, []) == [] end)
  end
end
