defmodule LinxProcess.Session do
  @moduledoc """
  The process behind one workload: it owns the port to one agent.

  `LinxProcess` is the interface to it. What belongs here is the order of things: the
  port's messages, the owner's life, the callers that wait, and the end. The rules of
  the states are in `LinxProcess.Machine`.

  A session ends once, with one terminal event, whatever happens to the agent. It then
  closes its port, writes nothing more, and stays for `:retain` milliseconds, so that
  `LinxProcess.wait/2` and `LinxProcess.info/1` still have an answer. A supervised
  session leaves at once instead, and with a reason that its supervisor can act upon:
  `:normal` after exit status 0, an abort or a stop; the terminal event otherwise.
  """

  # No limit of a supervisor's own: terminate/2 ends by itself, after the grace.
  use GenServer, restart: :temporary, shutdown: :infinity

  alias LinxProcess.{
    AgentPort,
    Binary,
    Error,
    Info,
    Machine,
    Options,
    Outbox,
    Protocol,
    Sessions,
    Waiters
  }

  # Large input is cut into frames of this many bytes. The agent takes a frame whole or
  # not at all, so small ones lose less when its buffer is full.
  @pty_chunk 64 * 1024

  # After SIGKILL the end is a matter of microseconds, unless the agent itself does not
  # run. Then there is nobody to wait for.
  @kill_patience 5_000

  defstruct [
    :port,
    :outbox,
    :options,
    :owner,
    :owner_ref,
    :host_pid,
    :inner_pid,
    :running_at,
    :terminal,
    machine: Machine.new(),
    run_ms: 0,
    waiters: Waiters.new(),
    supervised: false,
    stopping: false
  ]

  @type state :: %__MODULE__{}

  @doc false
  @spec start_link({Options.t() | {:idle, keyword()}, boolean()}) :: GenServer.on_start()
  def start_link({_what, _supervised} = argument), do: GenServer.start_link(__MODULE__, argument)

  @doc "Starts a session under the application's own supervisor."
  @spec start(Options.t()) :: {:ok, pid()} | {:error, Error.t()}
  def start(%Options{} = options), do: start_child({options, false})

  @doc """
  Starts an agent that waits for its request. It ends with the caller.

  Options: `:binary`.
  """
  @spec start_idle(keyword()) :: {:ok, pid()} | {:error, Error.t()}
  def start_idle(options) do
    start_child({{:idle, Keyword.put(options, :owner, self())}, false})
  end

  @doc "Gives an idle agent its request. The events go to the owner in the options."
  @spec assign(pid(), Options.t()) :: :ok | {:error, Error.t()}
  def assign(session, %Options{} = options), do: GenServer.call(session, {:assign, options})

  defp start_child(argument) do
    case DynamicSupervisor.start_child(LinxProcess.SessionSupervisor, {__MODULE__, argument}) do
      {:ok, session} -> {:ok, session}
      {:error, {:shutdown, error}} -> {:error, error}
    end
  end

  @doc """
  How long a supervisor should wait for a session with this `:grace`, in milliseconds.
  What is no grace is told when the session starts.
  """
  @spec shutdown(term()) :: pos_integer()
  def shutdown(grace) when is_integer(grace) and grace >= 0, do: grace + @kill_patience + 1_000
  def shutdown(_default_or_wrong), do: shutdown(Options.default_grace())

  @impl true
  def init({what, supervised}) do
    Process.flag(:trap_exit, true)

    with {:ok, frame} <- frame(what),
         {:ok, path} <- Binary.find(binary(what)),
         {:ok, port} <- AgentPort.open(path) do
      {:ok, begin(what, frame, %__MODULE__{port: port, supervised: supervised})}
    else
      # A shutdown, so that nothing is logged: the caller has the error.
      {:error, error} -> {:stop, {:shutdown, error}}
    end
  end

  defp frame({:idle, _options}), do: {:ok, nil}

  defp frame(%Options{request: request}) do
    with {:error, reason} <- Protocol.encode_request(request), do: {:error, Error.wrap(reason)}
  end

  defp binary({:idle, options}), do: options[:binary]
  defp binary(%Options{binary: binary}), do: binary

  defp begin({:idle, options}, nil, state), do: watch_owner(state, options[:owner])

  defp begin(%Options{request: request} = options, frame, state) do
    # A port that is closed already tells its end by a message, like one that closes later.
    outbox = write_request(Outbox.new(state.port, options.max_queue), frame)
    Sessions.register(request)
    machine = Machine.request(state.machine, request.stdio == :pty)
    state = %{state | options: options, outbox: outbox, machine: machine}
    state |> watch_owner(options.owner) |> auto_proceed()
  end

  defp check_port(port) do
    if AgentPort.open?(port), do: :ok, else: {:error, Error.wrap(:agent_died)}
  end

  defp write_request(outbox, frame) do
    case Outbox.push(outbox, frame) do
      {:ok, outbox} -> outbox
      {:error, :closed} -> outbox
    end
  end

  defp auto_proceed(%{options: %Options{auto_proceed: true}} = state) do
    {_reply, state} = act(:proceed, state)
    state
  end

  defp auto_proceed(state), do: state

  defp watch_owner(%{owner_ref: old} = state, owner) do
    if old, do: Process.demonitor(old, [:flush])
    %{state | owner: owner, owner_ref: owner && Process.monitor(owner)}
  end

  # Calls

  @impl true
  def handle_call({:assign, options}, _from, %{machine: %{state: :idle}} = state) do
    with {:ok, frame} <- frame(options),
         :ok <- check_port(state.port) do
      {:reply, :ok, begin(options, frame, state)}
    else
      {:error, error} -> {:stop, :normal, {:error, error}, state}
    end
  end

  def handle_call({:assign, _options}, _from, state), do: {:reply, {:error, :taken}, state}

  def handle_call({:verb, command}, _from, state) do
    {reply, state} = verb(command, state)
    {:reply, reply, state}
  end

  def handle_call({:await, wanted, timeout}, from, state) do
    if Machine.reached?(state.machine.state, wanted) do
      {:reply, Waiters.answer(wanted, state.terminal), state}
    else
      {:noreply, wait(state, wanted, from, timeout)}
    end
  end

  def handle_call({:stop, grace}, from, state) do
    if state.terminal do
      {:reply, state.terminal, state}
    else
      handle_cast({:stop, grace}, wait(state, :ended, from, :infinity))
    end
  end

  def handle_call({:set_owner, _owner}, _from, %{terminal: terminal} = state)
      when terminal != nil,
      do: {:reply, {:error, :ended}, state}

  def handle_call({:set_owner, owner}, _from, state) do
    {:reply, :ok, watch_owner(state, owner)}
  end

  def handle_call(:host_pid, _from, %{host_pid: nil} = state) do
    {:reply, {:error, :not_spawned}, state}
  end

  def handle_call(:host_pid, _from, state), do: {:reply, {:ok, state.host_pid}, state}
  def handle_call(:info, _from, state), do: {:reply, info(state), state}

  @impl true
  def handle_cast({:stop, grace}, %{terminal: nil} = state) do
    case begin_stop(state, grace) do
      %{terminal: nil} = state -> {:noreply, state}
      state -> leave(state)
    end
  end

  def handle_cast({:stop, _grace}, state), do: {:noreply, state}

  # Messages

  @impl true
  def handle_info(:retire, state), do: {:stop, :normal, state}

  def handle_info({:DOWN, ref, :process, _pid, _reason}, %{owner_ref: ref} = state) do
    # Closing the port is a hang-up: the agent acts by the orphan policy.
    case state.terminal do
      nil -> {:stop, :normal, finish(state, {:error, :owner_down})}
      _ended -> {:stop, :normal, state}
    end
  end

  def handle_info(message, %{terminal: nil} = state) do
    case step(message, state) do
      %{terminal: nil} = state -> {:noreply, state}
      state -> leave(state)
    end
  end

  def handle_info(_message, state), do: {:noreply, state}

  # One message of a session that has not ended. terminate/2 takes the same steps.
  defp step({port, {:data, frame}}, %{port: port} = state) do
    case Protocol.decode_event(frame) do
      {:ok, event} -> event(event, state)
      :error -> finish(state, {:error, :malformed_frame})
    end
  end

  defp step({port, {:exit_status, _status}}, %{port: port} = state) do
    finish(state, {:error, :agent_died})
  end

  defp step({:EXIT, port, _reason}, %{port: port} = state) do
    finish(state, {:error, :agent_died})
  end

  defp step({Outbox, :written, bytes}, state) do
    %{state | outbox: Outbox.written(state.outbox, bytes)}
  end

  defp step({:stop, :grace_over}, state), do: kill(state)

  defp step({:stop, :give_up}, state) do
    AgentPort.kill(state.port)
    finish(state, {:error, :agent_died})
  end

  defp step({Waiters, :timeout, from}, state) do
    %{state | waiters: Waiters.timeout(state.waiters, from)}
  end

  defp step(_message, state), do: state

  defp event(event, state) do
    case Machine.event(state.machine, event) do
      {:ok, %{state: :ended}, []} ->
        finish(state, event)

      {:ok, machine, kept} ->
        state = note(event, %{state | machine: machine})
        tell(state, event)
        kept |> Enum.reduce(state, &write_kept/2) |> answer_waiters()

      {:error, :out_of_order} ->
        finish(state, {:error, :malformed_frame})
    end
  end

  defp note({:spawned, pid}, state) do
    Sessions.update(:host_pid, pid)
    %{state | host_pid: pid}
  end

  defp note({:ready, pid}, state), do: %{state | inner_pid: pid}

  defp note(:running, state) do
    Sessions.update(:running_at, now())
    %{state | running_at: now()}
  end

  defp note(_other, state), do: state

  # Verbs

  # What a caller wants, if there is room for it.
  defp verb(_command, %{outbox: nil} = state), do: {{:error, :no_request}, state}

  defp verb(command, state) do
    if room?(command, state), do: act(command, state), else: {{:error, :busy}, state}
  end

  # What is kept waits for these two, so they must not wait for it.
  defp room?(command, _state) when command in [:proceed, :abort], do: true

  defp room?(command, %{machine: machine, outbox: outbox}) do
    Outbox.room?(outbox, machine.kept_bytes + Machine.cost(command))
  end

  defp act(command, state) do
    with {what, machine} when what in [:write, :keep] <- Machine.verb(state.machine, command),
         {:ok, outbox} <- write(what, command, state.outbox) do
      {:ok, %{state | machine: machine, outbox: outbox}}
    else
      {:error, :closed} -> {{:error, :ended}, state}
      {:error, reason} -> {{:error, reason}, state}
    end
  end

  defp write(:keep, _command, outbox), do: {:ok, outbox}

  defp write(:write, {:pty_in, data}, outbox) when byte_size(data) > @pty_chunk do
    <<chunk::binary-size(@pty_chunk), rest::binary>> = data

    with {:ok, outbox} <- push(outbox, {:pty_in, chunk}) do
      write(:write, {:pty_in, rest}, outbox)
    end
  end

  defp write(:write, command, outbox), do: push(outbox, command)

  defp push(outbox, command) do
    {:ok, frame} = Protocol.encode_command(command)
    Outbox.push(outbox, frame)
  end

  # What was kept was within the bound when it came in. A port that is closed by now
  # tells its own end.
  defp write_kept(command, state) do
    case write(:write, command, state.outbox) do
      {:ok, outbox} -> %{state | outbox: outbox}
      {:error, _reason} -> state
    end
  end

  defp wait(state, wanted, from, timeout) do
    %{state | waiters: Waiters.add(state.waiters, wanted, from, timeout)}
  end

  defp answer_waiters(%{machine: machine, terminal: terminal} = state) do
    %{state | waiters: Waiters.reached(state.waiters, machine.state, terminal)}
  end

  # The end

  # Whoever is the least patient decides.
  defp begin_stop(%{stopping: true} = state, grace) do
    Process.send_after(self(), {:stop, :grace_over}, grace)
    state
  end

  defp begin_stop(%{machine: %{state: :idle}} = state, _grace),
    do: finish(state, {:error, :stopped})

  defp begin_stop(state, grace) do
    Process.send_after(self(), {:stop, :grace_over}, grace)
    state = %{state | stopping: true}

    case act(:abort, state) do
      {:ok, state} -> state
      {{:error, _too_late}, state} -> signal(state, 15)
    end
  end

  defp kill(state) do
    Process.send_after(self(), {:stop, :give_up}, @kill_patience)
    signal(state, 9)
  end

  # Whatever comes of it: the timers of the stop go on.
  defp signal(state, number) do
    {_reply, state} = act({:signal, number}, state)
    state
  end

  defp finish(state, terminal) do
    AgentPort.close(state.port)
    Sessions.unregister()

    state = %{
      state
      | terminal: terminal,
        run_ms: run_ms(state),
        machine: Machine.finish(state.machine)
    }

    tell(state, terminal)
    answer_waiters(state)
  end

  defp leave(%{supervised: true, stopping: true} = state), do: {:stop, :normal, state}

  defp leave(%{supervised: true} = state), do: {:stop, reason(state.terminal), state}

  # An idle agent that died.
  defp leave(%{options: nil} = state), do: {:stop, :normal, state}

  defp leave(state) do
    Process.send_after(self(), :retire, state.options.retain)
    {:noreply, state, :hibernate}
  end

  defp reason({:exited, 0}), do: :normal
  defp reason({:aborted, _pid}), do: :normal
  defp reason(terminal), do: terminal

  defp tell(%{owner: nil}, _event), do: :ok

  defp tell(%{owner: owner}, event) do
    send(owner, {:linx_process, self(), event})
    :ok
  end

  @impl true
  def terminate(_reason, %{terminal: nil, options: %Options{grace: grace}} = state) do
    state |> begin_stop(grace) |> await_end()
  end

  def terminate(_reason, _state), do: :ok

  defp await_end(%{terminal: nil} = state) do
    receive do
      message -> message |> step(state) |> await_end()
    end
  end

  defp await_end(_ended), do: :ok

  # Information

  defp info(state) do
    request = state.options && state.options.request

    %Info{
      session: self(),
      state: state.machine.state,
      kind: request && request.kind,
      argv: request && request.argv,
      host_pid: state.host_pid,
      inner_pid: state.inner_pid,
      agent_pid: AgentPort.os_pid(state.port),
      owner: state.owner,
      terminal: state.terminal,
      run_ms: run_ms(state),
      queued: state.machine.kept_bytes + queued(state.outbox)
    }
  end

  defp queued(nil), do: 0
  defp queued(%Outbox{queued: queued}), do: queued

  defp run_ms(%{terminal: terminal, run_ms: run_ms}) when terminal != nil, do: run_ms
  defp run_ms(%{running_at: nil}), do: 0
  defp run_ms(%{running_at: at}), do: now() - at

  defp now, do: System.monotonic_time(:millisecond)
end
