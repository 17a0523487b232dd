defmodule TestSupport.Proper do
  @moduledoc """
  PropEr in Elixir: its macros are Erlang's, so here are the two that the tests use.
  """

  @doc "For all values of a type the block is true."
  defmacro forall({:<-, _meta, [pattern, type]}, do: block) do
    quote do
      :proper.forall(unquote(type), fn unquote(pattern) -> unquote(block) end)
    end
  end

  @doc "The type of what the block makes of a value of a type."
  defmacro let({:<-, _meta, [pattern, type]}, do: block) do
    quote do
      :proper_types.bind(unquote(type), fn unquote(pattern) -> unquote(block) end, false)
    end
  end

  @doc "Runs a property; a counterexample is the message of the failure."
  def holds(property, tests \\ 300) do
    options = [:quiet, :long_result, numtests: tests]

    # Not a call that the compiler sees: PropEr is no dependency of this application.
    case apply(:proper, :quickcheck, [property, options]) do
      true -> true
      [counterexample] -> ExUnit.Assertions.flunk("does not hold for #{inspect(counterexample)}")
      error -> ExUnit.Assertions.flunk("PropEr: #{inspect(error)}")
    end
  end
end
