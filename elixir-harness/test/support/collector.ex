defmodule TestSupport.Collector do
  @moduledoc """
  An owner on another node: it starts a session there, and keeps what it is told.
  """

  use GenServer

  @doc "Starts a session by `LinxProcess.start_on/3`, or by the cluster's choice."
  def start(where, argv, options) do
    {:ok, collector} = GenServer.start(__MODULE__, [])
    {collector, GenServer.call(collector, {:start, where, argv, options}, :infinity)}
  end

  @doc "The events so far, in their order, as `{session, event}`."
  def events(collector), do: GenServer.call(collector, :events)

  @impl true
  def init([]), do: {:ok, []}

  @impl true
  def handle_call({:start, :anywhere, argv, options}, _from, events) do
    {:reply, LinxProcess.Cluster.start(argv, options), events}
  end

  def handle_call({:start, node, argv, options}, _from, events) do
    {:reply, LinxProcess.start_on(node, argv, options), events}
  end

  def handle_call(:events, _from, events), do: {:reply, Enum.reverse(events), events}

  @impl true
  def handle_info({:linx_process, session, event}, events) do
    {:noreply, [{session, event} | events]}
  end
end
