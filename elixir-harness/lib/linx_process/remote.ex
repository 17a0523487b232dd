defmodule LinxProcess.Remote do
  @moduledoc """
  Stands on this node for a session on another one: `LinxProcess.start_on/3`.

  It owns the session over there and passes everything on: calls one way, events the
  other. What only this side can know, that the other side is gone, it tells: one
  terminal event `{:error, :noconnection}`, unless there was a terminal event already.

  The session over there sees its owner go when this process ends or when the connection
  is lost, and hangs up on its agent. So nothing runs on because nobody could say stop.
  """

  use GenServer, restart: :temporary

  alias LinxProcess.{Error, OptionError}

  # For how many milliseconds it still answers when the session over there is gone.
  @retain 30_000

  defstruct [:session, :monitor, :owner, :owner_ref, :terminal, :requests]

  @doc false
  @spec start(node(), term(), term()) ::
          {:ok, pid()} | {:error, Error.t() | OptionError.t() | :noconnection}
  def start(node, argv, options) do
    if Keyword.keyword?(options) do
      {owner, options} = Keyword.pop(options, :owner, self())
      start(owner, node, argv, options)
    else
      {:error, %OptionError{key: :options, value: options, expected: "a keyword list"}}
    end
  end

  defp start(owner, node, argv, options) do
    if is_pid(owner) or is_nil(owner) do
      child = {__MODULE__, owner}
      {:ok, remote} = DynamicSupervisor.start_child(LinxProcess.SessionSupervisor, child)
      GenServer.call(remote, {:begin, node, argv, options}, :infinity)
    else
      {:error, %OptionError{key: :owner, value: owner, expected: "a pid or nil"}}
    end
  end

  @doc false
  @spec start_link(pid() | nil) :: GenServer.on_start()
  def start_link(owner), do: GenServer.start_link(__MODULE__, owner)

  @doc false
  @spec start_there(term(), keyword()) ::
          {:ok, pid()} | {:error, Error.t() | OptionError.t()}
  def start_there(argv, options) do
    case Keyword.pop(options, :target, :none) do
      {:none, options} -> LinxProcess.spawn(argv, options)
      {target, options} -> LinxProcess.enter(target, argv, options)
    end
  end

  @impl true
  def init(owner) do
    {:ok, watch_owner(%__MODULE__{requests: :gen_server.reqids_new()}, owner)}
  end

  defp watch_owner(%{owner_ref: old} = state, owner) do
    if old, do: Process.demonitor(old, [:flush])
    %{state | owner: owner, owner_ref: owner && Process.monitor(owner)}
  end

  @impl true
  def handle_call({:begin, node, argv, options}, _from, %{session: nil} = state) do
    case call_there(node, [argv, Keyword.put(options, :owner, self())]) do
      {:ok, session} ->
        state = %{state | session: session, monitor: Process.monitor(session)}
        {:reply, {:ok, self()}, state}

      {:error, reason} ->
        {:stop, :normal, {:error, reason}, state}
    end
  end

  def handle_call({:set_owner, _owner}, _from, %{terminal: terminal} = state)
      when terminal != nil,
      do: {:reply, {:error, :ended}, state}

  def handle_call({:set_owner, owner}, _from, state), do: {:reply, :ok, watch_owner(state, owner)}

  def handle_call(request, _from, %{session: nil} = state) do
    {:reply, answer(request, state.terminal), state}
  end

  def handle_call(request, from, state) do
    requests = :gen_server.send_request(state.session, request, {from, request}, state.requests)
    {:noreply, %{state | requests: requests}}
  end

  defp call_there(node, arguments) do
    :erpc.call(node, __MODULE__, :start_there, arguments)
  catch
    :error, {:erpc, :noconnection} -> {:error, :noconnection}
    _kind, reason -> {:error, Error.new(:remote, nil, "#{node}: #{inspect(reason)}")}
  end

  # What the session would say, now that it says nothing any more.
  defp answer({:await, :ended, _timeout}, terminal), do: terminal
  defp answer({:await, _state, _timeout}, terminal), do: {:error, {:ended, terminal}}
  defp answer({:stop, _grace}, terminal), do: terminal
  defp answer({:verb, _command}, _terminal), do: {:error, :ended}
  defp answer(_question, _terminal), do: {:error, :noproc}

  @impl true
  def handle_info({:linx_process, session, event}, %{session: session} = state) do
    tell(state, event)
    {:noreply, note(event, state)}
  end

  def handle_info({:DOWN, ref, :process, _pid, _reason}, %{owner_ref: ref} = state) do
    {:stop, :normal, state}
  end

  def handle_info({:DOWN, ref, :process, _pid, reason}, %{monitor: ref} = state) do
    {:noreply, lost(reason, state)}
  end

  def handle_info(:retire, state), do: {:stop, :normal, state}

  def handle_info(message, state) do
    case :gen_server.check_response(message, state.requests, true) do
      {{:reply, reply}, {from, _request}, requests} ->
        GenServer.reply(from, reply)
        {:noreply, %{state | requests: requests}}

      {{:error, {reason, _session}}, {from, request}, requests} ->
        state = lost(reason, %{state | requests: requests})
        GenServer.reply(from, answer(request, state.terminal))
        {:noreply, state}

      _not_a_response ->
        {:noreply, state}
    end
  end

  defp note({kind, _value} = event, state) when kind in [:exited, :signaled, :aborted, :error] do
    %{state | terminal: event}
  end

  defp note(_event, state), do: state

  # The session is gone; the first message that says so counts.
  defp lost(_reason, %{session: nil} = state), do: state

  defp lost(reason, state) do
    Process.demonitor(state.monitor, [:flush])
    Process.send_after(self(), :retire, @retain)
    state = %{state | session: nil}

    if state.terminal do
      state
    else
      terminal = {:error, if(reason == :noconnection, do: :noconnection, else: :agent_died)}
      tell(state, terminal)
      %{state | terminal: terminal}
    end
  end

  defp tell(%{owner: nil}, _event), do: :ok

  defp tell(%{owner: owner}, event) do
    send(owner, {:linx_process, self(), event})
    :ok
  end
end
