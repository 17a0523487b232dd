defmodule LinxProcess.AgentPort do
  @moduledoc """
  The port to one agent, as the protocol wants it opened.

  The port belongs to the process that opens it, and closing it is what the agent takes
  for a hang-up; that the process ends is enough. Its messages are
  `{port, {:data, frame}}`, `{port, {:exit_status, status}}` and, as it is linked,
  `{:EXIT, port, reason}`.
  """

  alias LinxProcess.Error

  # The agent talks on descriptors 3 and 4; 0, 1 and 2 are the workload's.
  @options [:binary, :nouse_stdio, {:packet, 4}, :exit_status, args: []]

  @doc "Starts the agent at the path."
  @spec open(Path.t()) :: {:ok, port()} | {:error, Error.t()}
  def open(path) do
    {:ok, Port.open({:spawn_executable, path}, @options)}
  rescue
    # open_port/2 raises with the name of an errno, such as :emfile.
    exception in [ErlangError, ArgumentError, SystemLimitError] ->
      {:error, Error.new(:binary, nil, "#{path}: #{Exception.message(exception)}")}
  end

  @doc "Whether there is somebody at the other end, as far as is known."
  @spec open?(port()) :: boolean()
  def open?(port), do: Port.info(port) != nil

  @doc "Hangs up. A port that is closed already stays closed."
  @spec close(port()) :: :ok
  def close(port) do
    Port.close(port)
    :ok
  rescue
    ArgumentError -> :ok
  end

  @doc "The pid of the agent, while the port is open."
  @spec os_pid(port()) :: pos_integer() | nil
  def os_pid(port) do
    case Port.info(port, :os_pid) do
      {:os_pid, pid} when is_integer(pid) -> pid
      nil -> nil
    end
  end

  @doc """
  Kills an agent that does not react, and hangs up.

  Hanging up alone would not do: a port with frames that nobody reads stays half closed
  until they are read.
  """
  @spec kill(port()) :: :ok
  def kill(port) do
    if pid = os_pid(port) do
      System.cmd("/bin/sh", ["-c", "kill -9 $0", "#{pid}"], stderr_to_stdout: true)
    end

    close(port)
  end
end
