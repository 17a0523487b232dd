defmodule TestSupport.Breaks do
  @moduledoc """
  A collectable that raises when something is put into it.
  """

  defstruct []

  defimpl Collectable do
    def into(breaks) do
      collect = fn
        _acc, {:cont, _data} -> raise "full"
        acc, :done -> acc
        _acc, :halt -> :ok
      end

      {breaks, collect}
    end
  end
end
