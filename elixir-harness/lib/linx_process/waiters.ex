defmodule LinxProcess.Waiters do
  @moduledoc """
  The callers that wait for a session to reach a state, `:ended` among them.

  Each one is answered once: when the state is reached, when the session ends without
  it, or when its time is over, which the session hears of by a message
  `{LinxProcess.Waiters, :timeout, from}`.
  """

  alias LinxProcess.Machine

  @type t :: [{Machine.state(), GenServer.from()}]

  @doc "Nobody waits."
  @spec new() :: t()
  def new, do: []

  @doc "One more; `timeout` is in milliseconds."
  @spec add(t(), Machine.state(), GenServer.from(), timeout()) :: t()
  def add(waiters, wanted, from, timeout) do
    if timeout != :infinity do
      Process.send_after(self(), {__MODULE__, :timeout, from}, timeout)
    end

    [{wanted, from} | waiters]
  end

  @doc "Answers those whose state is reached."
  @spec reached(t(), Machine.state(), LinxProcess.terminal() | nil) :: t()
  def reached(waiters, state, terminal) do
    {now, later} = Enum.split_with(waiters, fn {wanted, _} -> Machine.reached?(state, wanted) end)
    for {wanted, from} <- now, do: GenServer.reply(from, answer(wanted, terminal))
    later
  end

  @doc "Answers the one whose time is over, if it still waits."
  @spec timeout(t(), GenServer.from()) :: t()
  def timeout(waiters, from) do
    {late, others} = Enum.split_with(waiters, fn {_wanted, waiter} -> waiter == from end)
    for {_wanted, waiter} <- late, do: GenServer.reply(waiter, {:error, :timeout})
    others
  end

  @doc """
  The answer to who waited for a state that is reached.

      iex> LinxProcess.Waiters.answer(:ready, nil)
      :ok
      iex> LinxProcess.Waiters.answer(:ready, {:exited, 0})
      {:error, {:ended, {:exited, 0}}}
      iex> LinxProcess.Waiters.answer(:ended, {:exited, 0})
      {:exited, 0}
  """
  @spec answer(Machine.state(), LinxProcess.terminal() | nil) ::
          :ok | LinxProcess.terminal() | {:error, {:ended, LinxProcess.terminal()}}
  def answer(:ended, terminal), do: terminal
  def answer(_wanted, nil), do: :ok
  def answer(_wanted, terminal), do: {:error, {:ended, terminal}}
end
