defmodule TestSupport.OS do
  @moduledoc """
  Processes of the operating system, as /proc shows them.
  """

  @doc "Whether a process is there and no zombie."
  def alive?(pid), do: state(pid) not in [nil, "Z", "X"]

  @doc "The state letter of a process, proc(5), or `nil`."
  def state(pid) do
    with {:ok, fields} <- stat(pid), do: hd(fields)
  end

  @doc "Signals a process by its number."
  def kill(pid, signal \\ 9) do
    {_output, _status} = System.cmd("/bin/sh", ["-c", "kill -#{signal} #{pid} 2>/dev/null"])
    :ok
  end

  @doc "The children of a process."
  def children(parent) do
    for pid <- pids(), {:ok, [_state, ppid | _rest]} <- [stat(pid)], ppid == "#{parent}", do: pid
  end

  @doc "The process of this VM that starts and reaps all others."
  def forker do
    self = String.to_integer(System.pid())
    Enum.find(children(self), &(comm(&1) =~ "erl_child_setup"))
  end

  @doc "How many descriptors this VM has open."
  def descriptors, do: length(File.ls!("/proc/self/fd"))

  @doc "The inode of a namespace of a process."
  def namespace(pid, name), do: File.read_link!("/proc/#{pid}/ns/#{name}")

  defp pids do
    for name <- File.ls!("/proc"), name =~ ~r/^\d+$/, do: String.to_integer(name)
  end

  defp comm(pid) do
    case File.read("/proc/#{pid}/comm") do
      {:ok, comm} -> comm
      {:error, _gone} -> ""
    end
  end

  # The fields behind the name, which may contain anything.
  defp stat(pid) do
    case File.read("/proc/#{pid}/stat") do
      {:ok, text} -> {:ok, text |> String.split(") ") |> List.last() |> String.split()}
      {:error, _gone} -> nil
    end
  end
end
