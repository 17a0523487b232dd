defmodule LinxProcess.Pool do
  @moduledoc """
  Agents that are started ahead of time, so that a session does not wait for one.

      {:ok, pool} = LinxProcess.Pool.start_link(size: 8)
      {:ok, session} = LinxProcess.Pool.spawn(pool, ["/bin/true"], auto_proceed: true)

  An agent serves one session. What is taken from the pool is replaced at once, in the
  background; who finds the pool empty gets an agent that is started then. Every member
  is monitored: one that dies is replaced too. When the pool ends its agents end; the
  sessions that came from it stay.

  An agent keeps the environment, the directory and the limits that the VM had when it
  was started.
  """

  use GenServer

  alias LinxProcess.{Error, OptionError, Options, Session}

  # What cannot be started now is tried again after so many milliseconds.
  @retry 1_000

  # A session that was just taken has the first milliseconds for itself: starting its
  # successor at once takes a quarter longer until it runs, on two cores.
  @settle 5

  @default_size 4

  defstruct [:size, :binary, idle: %{}, filling: false]

  @doc """
  Starts a pool.

    * `:size`: how many agents wait, at most and as a rule; 4 by default
    * `:binary`: the agent's binary, as in `LinxProcess.Options`
    * `:name`: as in `GenServer.start_link/3`
  """
  @spec start_link(keyword()) :: GenServer.on_start()
  def start_link(options \\ []) do
    {name, options} = Keyword.split(options, [:name])

    with {:error, {:shutdown, error}} <- GenServer.start_link(__MODULE__, options, name) do
      {:error, error}
    end
  end

  @doc "Like `LinxProcess.spawn/2`, with an agent of the pool. `:binary` is the pool's."
  @spec spawn(GenServer.server(), [String.t()], keyword()) ::
          {:ok, pid()} | {:error, Error.t() | OptionError.t()}
  def spawn(pool, argv, options \\ []) do
    with {:ok, options} <- Options.parse_owned(argv, options, :none), do: begin(pool, options)
  end

  @doc "Like `LinxProcess.enter/3`, with an agent of the pool."
  @spec enter(GenServer.server(), pos_integer(), [String.t()], keyword()) ::
          {:ok, pid()} | {:error, Error.t() | OptionError.t()}
  def enter(pool, target, argv, options \\ []) do
    with {:ok, options} <- Options.parse_owned(argv, options, target), do: begin(pool, options)
  end

  @doc "How many agents wait now."
  @spec available(GenServer.server()) :: non_neg_integer()
  def available(pool), do: GenServer.call(pool, :available)

  # An agent may die between the pool's hand and ours; then there is the next one.
  defp begin(pool, options) do
    case GenServer.call(pool, :take) do
      {:ok, session} -> assign(pool, session, options)
      {:empty, binary} -> Session.start(%{options | binary: binary})
    end
  end

  defp assign(pool, session, options) do
    case Session.assign(session, options) do
      :ok -> {:ok, session}
      {:error, %Error{stage: :agent_died}} -> begin(pool, options)
      {:error, %Error{} = error} -> {:error, error}
    end
  catch
    :exit, _gone -> begin(pool, options)
  end

  @impl true
  def init(options) do
    case Enum.find(options, &(not valid?(&1))) do
      nil ->
        state = struct!(%__MODULE__{size: @default_size}, options)
        {:ok, fill_after(state, 0)}

      {key, value} ->
        expected = "a positive integer as :size, a path as :binary, and no other key"
        {:stop, {:shutdown, %OptionError{key: key, value: value, expected: expected}}}
    end
  end

  defp valid?({:size, size}), do: is_integer(size) and size > 0
  defp valid?({:binary, path}), do: is_binary(path) or is_nil(path)
  defp valid?(_unknown), do: false

  @impl true
  def handle_call(:available, _from, state), do: {:reply, map_size(state.idle), state}

  def handle_call(:take, _from, %{idle: idle} = state) when idle == %{} do
    {:reply, {:empty, state.binary}, fill_after(state, @settle)}
  end

  def handle_call(:take, _from, state) do
    {session, monitor} = Enum.at(state.idle, 0)
    Process.demonitor(monitor, [:flush])
    {:reply, {:ok, session}, state |> drop(session) |> fill_after(@settle)}
  end

  @impl true
  def handle_info({:DOWN, _ref, :process, session, _reason}, state) do
    # A binary that dies at once must not be started in a tight loop.
    {:noreply, state |> drop(session) |> fill_after(@retry)}
  end

  def handle_info(:fill, state), do: {:noreply, fill(%{state | filling: false})}

  # What an idle session tells its owner; its end is seen by the monitor.
  def handle_info(_event, state), do: {:noreply, state}

  defp drop(state, session), do: %{state | idle: Map.delete(state.idle, session)}

  defp fill_after(%{filling: true} = state, _ms), do: state

  defp fill_after(state, ms) do
    Process.send_after(self(), :fill, ms)
    %{state | filling: true}
  end

  # One at a time, so that who takes one does not wait for all the others.
  defp fill(%{idle: idle, size: size} = state) when map_size(idle) >= size, do: state

  defp fill(state) do
    case Session.start_idle(binary: state.binary) do
      {:ok, session} -> fill_after(put_in(state.idle[session], Process.monitor(session)), 0)
      {:error, _not_now} -> fill_after(state, @retry)
    end
  end
end
