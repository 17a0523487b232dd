defmodule LinxProcess.Cluster do
  @moduledoc """
  Sessions on the nodes of a cluster, by the distribution of Erlang itself.

  A node that calls `join/0` takes sessions from others; `:pg` knows the group, and
  `:erpc` asks its members how many sessions they have. How nodes find and trust each
  other is the cluster's business: who may connect may run programs here.

      # on each node that takes sessions
      :ok = LinxProcess.Cluster.join()

      # anywhere in the cluster
      {:ok, session} = LinxProcess.Cluster.start(["/usr/bin/make"], auto_proceed: true)
  """

  alias LinxProcess.{Error, OptionError, Sessions}

  @scope __MODULE__
  @group :nodes

  # A node that does not answer within these milliseconds gets no sessions.
  @patience 2_000

  @doc false
  @spec child_spec(term()) :: Supervisor.child_spec()
  def child_spec(_argument) do
    %{id: __MODULE__, start: {:pg, :start_link, [@scope]}, type: :worker}
  end

  @doc "This node takes sessions from now on. Joining twice is joining once."
  @spec join() :: :ok
  def join do
    member = member()

    if member in :pg.get_local_members(@scope, @group),
      do: :ok,
      else: :pg.join(@scope, @group, member)
  end

  @doc "This node takes no more sessions; those that it has stay."
  @spec leave() :: :ok
  def leave do
    case :pg.leave(@scope, @group, member()) do
      :ok -> :ok
      :not_joined -> :ok
    end
  end

  # The process that stands for the node in the group; it lives as long as sessions can.
  defp member, do: Process.whereis(LinxProcess.SessionSupervisor)

  @doc "The nodes that have joined and are connected."
  @spec nodes() :: [node()]
  def nodes, do: @scope |> :pg.get_members(@group) |> Enum.map(&node/1) |> Enum.uniq()

  @doc "How many sessions each of them has. A node that does not answer is left out."
  @spec load() :: %{node() => non_neg_integer()}
  def load do
    nodes = nodes()

    for {node, {:ok, count}} <-
          Enum.zip(nodes, :erpc.multicall(nodes, Sessions, :count, [], @patience)),
        into: %{},
        do: {node, count}
  end

  @doc """
  The node with the fewest sessions, any one of them if there are several.

  Two callers who ask at the same time may get the same answer.
  """
  @spec least_loaded() :: {:ok, node()} | {:error, :no_nodes}
  def least_loaded do
    case load() |> Enum.shuffle() |> Enum.min_by(&elem(&1, 1), fn -> nil end) do
      nil -> {:error, :no_nodes}
      {node, _count} -> {:ok, node}
    end
  end

  @doc "Starts a session on the least loaded node. See `LinxProcess.start_on/3`."
  @spec start([String.t()], keyword()) ::
          {:ok, LinxProcess.session()}
          | {:error, Error.t() | OptionError.t() | :noconnection | :no_nodes}
  def start(argv, options \\ []) do
    with {:ok, node} <- least_loaded(), do: LinxProcess.start_on(node, argv, options)
  end
end
