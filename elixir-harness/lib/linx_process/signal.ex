defmodule LinxProcess.Signal do
  @moduledoc """
  The signals of Linux, signal(7), by number and by name.

  A signal is given as its number, 1 to 64, or as an atom such as `:sigterm`. The
  numbers are those of amd64 and arm64.
  """

  @names ~w(
    sighup sigint sigquit sigill sigtrap sigabrt sigbus sigfpe sigkill sigusr1 sigsegv sigusr2
    sigpipe sigalrm sigterm sigstkflt sigchld sigcont sigstop sigtstp sigttin sigttou sigurg
    sigxcpu sigxfsz sigvtalrm sigprof sigwinch sigio sigpwr sigsys
  )a

  @table Enum.with_index(@names, 1)

  @typedoc "A signal as the functions of this library take it."
  @type t :: 1..64 | atom()

  @doc """
  The number of a signal.

      iex> LinxProcess.Signal.number(:sigterm)
      {:ok, 15}
      iex> LinxProcess.Signal.number(64)
      {:ok, 64}
      iex> LinxProcess.Signal.number(:sigfoo)
      :error
      iex> LinxProcess.Signal.number(65)
      :error
  """
  @spec number(term()) :: {:ok, 1..64} | :error
  def number(number) when is_integer(number) and number in 1..64, do: {:ok, number}

  for {name, number} <- @table do
    def number(unquote(name)), do: {:ok, unquote(number)}
  end

  def number(_other), do: :error

  @doc """
  What a person reads.

      iex> LinxProcess.Signal.describe(9)
      "SIGKILL"
      iex> LinxProcess.Signal.describe(40)
      "signal 40"
  """
  @spec describe(integer()) :: String.t()
  for {name, number} <- @table do
    def describe(unquote(number)), do: unquote(name |> Atom.to_string() |> String.upcase())
  end

  def describe(number) when is_integer(number), do: "signal #{number}"
end
