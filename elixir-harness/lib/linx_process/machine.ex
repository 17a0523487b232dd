defmodule LinxProcess.Machine do
  @moduledoc """
  The states of a session, as a pure value.

      idle ─request─▶ starting ─spawned─▶ spawned ─ready─▶ ready ─running─▶ running
                          │                  │               │                 │
                          └──────────────────┴── terminal ───┴─────────────────┴─▶ ended

  Two things drive it: verbs, which the caller wants, and events, which the agent
  tells. The agent reads its frames in order at the states that they belong to, so what
  belongs to the checkpoint is written at once, `:proceed` included. What belongs to a
  running workload (signals, input) is kept until the agent says `:running`, and then
  goes out in the order it came in.
  """

  alias LinxProcess.Protocol

  defstruct state: :idle, released: false, pty: false, kept: [], kept_bytes: 0

  @type state :: :idle | :starting | :spawned | :ready | :running | :ended

  @typedoc """
    * `:released`: `:proceed` or `:abort` was written, the checkpoint is over
    * `:pty`: the session has a terminal
    * `:kept`: what waits for `:running`, the newest first; `:kept_bytes` is its size
  """
  @type t :: %__MODULE__{
          state: state(),
          released: boolean(),
          pty: boolean(),
          kept: [Protocol.command()],
          kept_bytes: non_neg_integer()
        }

  # What each event leads to in each state. An event that has no entry here is out of
  # order, which only a broken agent sends.
  @transitions %{
    starting: %{spawned: :spawned, error: :ended},
    spawned: %{ready: :ready, exited: :ended, signaled: :ended, error: :ended},
    ready: %{running: :running, exited: :ended, signaled: :ended, aborted: :ended, error: :ended},
    running: %{
      pty_out: :running,
      pty_in_dropped: :running,
      exited: :ended,
      signaled: :ended,
      error: :ended
    }
  }

  @doc "A machine before its request."
  @spec new() :: t()
  def new, do: %__MODULE__{}

  @doc "The request was written; `pty` tells whether it asked for a terminal."
  @spec request(t(), boolean()) :: t()
  def request(%__MODULE__{state: :idle} = machine, pty) do
    %{machine | state: :starting, pty: pty}
  end

  @doc """
  What to do about a verb: write it, keep it for later, or refuse it.

      iex> machine = LinxProcess.Machine.request(LinxProcess.Machine.new(), false)
      iex> {:write, machine} = LinxProcess.Machine.verb(machine, :proceed)
      iex> {:keep, machine} = LinxProcess.Machine.verb(machine, {:signal, 15})
      iex> LinxProcess.Machine.verb(machine, :abort)
      {:error, :not_at_checkpoint}
  """
  @spec verb(t(), Protocol.command()) ::
          {:write, t()}
          | {:keep, t()}
          | {:error, :no_request | :not_at_checkpoint | :no_pty | :ended}
  def verb(%__MODULE__{state: :ended}, _command), do: {:error, :ended}
  def verb(%__MODULE__{state: :idle}, _command), do: {:error, :no_request}

  def verb(%__MODULE__{pty: false}, {verb, _arg}) when verb in [:pty_in, :pty_winsize] do
    {:error, :no_pty}
  end

  def verb(%__MODULE__{} = machine, {:pty_winsize, _size}), do: {:write, machine}

  def verb(%__MODULE__{state: :running} = machine, {verb, _arg})
      when verb in [:signal, :pty_in],
      do: {:write, machine}

  def verb(%__MODULE__{} = machine, {verb, _arg} = command) when verb in [:signal, :pty_in] do
    kept_bytes = machine.kept_bytes + cost(command)
    {:keep, %{machine | kept: [command | machine.kept], kept_bytes: kept_bytes}}
  end

  def verb(%__MODULE__{state: :running}, _command), do: {:error, :not_at_checkpoint}
  def verb(%__MODULE__{released: true}, _command), do: {:error, :not_at_checkpoint}

  def verb(%__MODULE__{} = machine, command) when command in [:proceed, :abort] do
    {:write, %{machine | released: true}}
  end

  def verb(%__MODULE__{} = machine, _checkpoint_command), do: {:write, machine}

  @doc """
  The bytes that a command takes up while it waits, roughly.

      iex> LinxProcess.Machine.cost({:pty_in, "four"})
      68
  """
  @spec cost(Protocol.command()) :: pos_integer()
  def cost({_verb, data}) when is_binary(data), do: 64 + byte_size(data)
  def cost(_command), do: 64

  @doc """
  What an event leads to: the next machine, and the commands to write now.

      iex> machine = LinxProcess.Machine.request(LinxProcess.Machine.new(), false)
      iex> {:ok, machine, []} = LinxProcess.Machine.event(machine, {:spawned, 7})
      iex> machine.state
      :spawned
      iex> LinxProcess.Machine.event(machine, :running)
      {:error, :out_of_order}
  """
  @spec event(t(), Protocol.event()) ::
          {:ok, t(), [Protocol.command()]} | {:error, :out_of_order}
  def event(%__MODULE__{state: state} = machine, event) do
    name = name(event)

    case @transitions do
      %{^state => %{^name => next}} -> enter(machine, next)
      _no_entry -> {:error, :out_of_order}
    end
  end

  @doc "The session is over, whatever the agent said."
  @spec finish(t()) :: t()
  def finish(%__MODULE__{} = machine) do
    %{machine | state: :ended, kept: [], kept_bytes: 0}
  end

  @doc """
  Whether a state lies behind another one on the way to the end.

      iex> LinxProcess.Machine.reached?(:running, :ready)
      true
      iex> LinxProcess.Machine.reached?(:spawned, :ready)
      false
  """
  @spec reached?(state(), state()) :: boolean()
  def reached?(state, wanted), do: rank(state) >= rank(wanted)

  for {state, rank} <- Enum.with_index([:idle, :starting, :spawned, :ready, :running, :ended]) do
    defp rank(unquote(state)), do: unquote(rank)
  end

  defp name(:running), do: :running
  defp name(event), do: elem(event, 0)

  defp enter(%{state: same} = machine, same), do: {:ok, machine, []}
  defp enter(machine, :ended), do: {:ok, finish(machine), []}

  defp enter(machine, :running) do
    {:ok, %{machine | state: :running, kept: [], kept_bytes: 0}, Enum.reverse(machine.kept)}
  end

  defp enter(machine, next), do: {:ok, %{machine | state: next}, []}
end
