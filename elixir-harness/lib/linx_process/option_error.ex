defmodule LinxProcess.OptionError do
  @moduledoc """
  An option that cannot be: which key, which value, and what it should have been.

      iex> {:error, error} = LinxProcess.Options.parse(["/bin/true"], cwd: 7)
      iex> error.key
      :cwd
      iex> Exception.message(error)
      "option :cwd: expected a string without NUL bytes, got: 7"
  """

  defexception [:key, :value, :expected]

  @type t :: %__MODULE__{key: term(), value: term(), expected: String.t()}

  @impl true
  def message(%__MODULE__{} = error) do
    "option #{inspect(error.key)}: expected #{error.expected}, got: #{inspect(error.value)}"
  end
end
