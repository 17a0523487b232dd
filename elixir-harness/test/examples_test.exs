defmodule LinxProcess.ExamplesTest do
  @moduledoc """
  The examples print what their last comment says.
  """

  # The output of an example is that of the process that evaluates it.
  use ExUnit.Case, async: true

  import ExUnit.CaptureIO

  doctest TestSupport.Readme

  for path <- Path.wildcard(Path.expand("../examples/*.exs", __DIR__)) do
    test "#{Path.basename(path)}" do
      path = unquote(path)
      [_code, comment] = path |> File.read!() |> String.split("# Output:\n")

      expected =
        comment |> String.split("\n", trim: true) |> Enum.map(&String.trim_leading(&1, "# "))

      output = capture_io(fn -> Code.eval_file(path) end)

      assert output |> String.split("\n", trim: true) |> Enum.map(&String.trim_trailing/1) ==
               Enum.map(expected, &String.trim_trailing/1)
    end
  end
end
