defmodule TestSupport.FakeAgent do
  @moduledoc """
  Agents that do what the real one never would: shell scripts on descriptors 3 and 4.
  """

  @doc """
  Writes a script and returns its path. The steps are

    * a term: sent as a frame
    * `{:raw, bytes}`: sent as they are
    * `{:read, n}`: reads that many bytes of frames
    * `{:sh, line}`: any line of shell
  """
  def write!(directory, steps) do
    path = Path.join(directory, "agent-#{System.unique_integer([:positive])}")
    File.write!(path, ["#!/bin/sh\n" | Enum.map(steps, &[line(&1), ?\n])])
    File.chmod!(path, 0o755)
    path
  end

  @doc "Reads until the client hangs up."
  def until_hangup, do: {:sh, "cat <&3 >/dev/null"}

  @doc "The frames with which every session starts."
  def up_to_running do
    [{:status, :spawned, 101}, {:status, :ready, 101}, {:status, :running}]
  end

  @doc "How many bytes the frame of a term takes in the pipe."
  def frame_size(term), do: 4 + byte_size(:erlang.term_to_binary(term))

  defp line({:sh, line}), do: line
  defp line({:read, n}), do: "head -c #{n} <&3 >/dev/null"
  defp line({:raw, bytes}), do: ["printf '", for(<<byte <- bytes>>, do: octal(byte)), "' >&4"]

  defp line(term) do
    frame = :erlang.term_to_binary(term)
    line({:raw, <<byte_size(frame)::32, frame::binary>>})
  end

  defp octal(byte), do: "\\" <> (byte |> Integer.to_string(8) |> String.pad_leading(3, "0"))
end
