defmodule LinxProcess.Output do
  @moduledoc """
  How what a workload writes gets here, and its input there: the one place that knows.

  Each stream is an AF_UNIX socket that the agent connects to before the child exists
  (`{:connect_unix, path}`). They are read on demand: one chunk is asked for, one comes,
  and a workload whose output nobody asks for waits in write(2).

  A socket is no pipe: a workload that opens `/dev/stdout` by name gets ENXIO.

  The sockets belong to the process that opens them and go away with it. Their files
  live in a directory of mode 0700 from `open/1` until `accept/1`; a janitor, a process
  that does nothing else, removes it when the opener dies in between.
  """

  alias LinxProcess.Error

  # What a read takes at most; the kernel's buffer for such a socket is 208 KiB.
  @chunk 256 * 1024

  # sun_path of sockaddr_un, unix(7), without its NUL.
  @max_path 107

  # When the workload has ended, what it wrote is in the buffers already. More than this
  # is somebody else who still writes.
  @drain_limit 4 * 1024 * 1024

  @enametoolong 36

  # The agent connects before it says that the child exists.
  @accept_timeout 5_000

  defstruct directory: nil,
            janitor: nil,
            feeder: nil,
            listeners: [],
            sockets: %{},
            armed: [],
            drained: 0

  @type stream :: :stdin | :stdout | :stderr

  @typedoc """
    * `:listeners`: the sockets to accept from, until `accept/1`
    * `:sockets`: the streams that have not reached their end
    * `:armed`: those of them that will deliver one message
    * `:drained`: the bytes that `drain/1` has read
  """
  @type t :: %__MODULE__{
          directory: Path.t() | nil,
          janitor: pid() | nil,
          feeder: {pid(), :gen_tcp.socket()} | nil,
          listeners: [{stream(), Path.t(), :gen_tcp.socket()}],
          sockets: %{:gen_tcp.socket() => stream()},
          armed: [:gen_tcp.socket()],
          drained: non_neg_integer()
        }

  @doc "Opens the streams, and returns the `:stdio` directives for a request with them."
  @spec open([stream()]) :: {:ok, t(), keyword()} | {:error, Error.t()}
  def open(streams) do
    with {:ok, directory} <- make_directory() do
      output = %__MODULE__{directory: directory, janitor: start_janitor(directory, self())}
      listen(streams, output, [])
    end
  end

  defp start_janitor(directory, opener) do
    spawn(fn ->
      monitor = Process.monitor(opener)

      receive do
        {:DOWN, ^monitor, :process, _pid, _reason} -> File.rm_rf(directory)
        :done -> :ok
      end
    end)
  end

  defp make_directory do
    name = "linx-process-" <> Base.url_encode64(:rand.bytes(12))
    directory = Path.join(System.tmp_dir() || "/tmp", name)

    with :ok <- File.mkdir(directory),
         :ok <- File.chmod(directory, 0o700) do
      {:ok, directory}
    else
      {:error, reason} -> {:error, Error.new(:output, nil, "#{directory}: #{reason}")}
    end
  end

  defp listen([], output, directives), do: {:ok, output, directives}

  defp listen([stream | streams], output, directives) do
    path = Path.join(output.directory, Atom.to_string(stream))

    case listen(path) do
      {:ok, listener} ->
        output = %{output | listeners: [{stream, path, listener} | output.listeners]}
        listen(streams, output, [{stream, {:connect_unix, path}} | directives])

      {:error, error} ->
        close(output)
        {:error, error}
    end
  end

  defp listen(path) when byte_size(path) > @max_path do
    {:error, Error.new(:output, @enametoolong, path)}
  end

  defp listen(path) do
    options = [:binary, active: false, backlog: 1, buffer: @chunk, ifaddr: {:local, path}]

    case :gen_tcp.listen(0, options) do
      {:ok, listener} -> {:ok, listener}
      {:error, reason} -> {:error, Error.new(:output, nil, "#{path}: #{reason}")}
    end
  end

  @doc "Takes the agent's connections. Call it once `{:spawned, pid}` has come."
  @spec accept(t()) :: {:ok, t()} | {:error, Error.t()}
  def accept(%__MODULE__{listeners: []} = output), do: {:ok, remove_directory(output)}

  def accept(%__MODULE__{listeners: [{stream, path, listener} | listeners]} = output) do
    case :gen_tcp.accept(listener, @accept_timeout) do
      {:ok, socket} ->
        forget(path, listener)
        sockets = Map.put(output.sockets, socket, stream)
        accept(%{output | listeners: listeners, sockets: sockets})

      {:error, reason} ->
        {:error, Error.new(:output, nil, "#{stream}: #{reason}")}
    end
  end

  defp forget(path, listener) do
    :gen_tcp.close(listener)
    File.rm(path)
  end

  defp remove_directory(%__MODULE__{directory: nil} = output), do: output

  defp remove_directory(%__MODULE__{directory: directory} = output) do
    File.rmdir(directory)
    send(output.janitor, :done)
    %{output | directory: nil, janitor: nil}
  end

  @doc """
  Writes the whole input to the workload's stdin, and then its end, in a process of its
  own: the workload may read when it likes, or not at all. That process ends when all is
  written, or when nobody can read it any more.
  """
  @spec feed(t(), iodata()) :: t()
  def feed(%__MODULE__{} = output, input) do
    {socket, :stdin} = Enum.find(output.sockets, fn {_socket, stream} -> stream == :stdin end)

    feeder =
      spawn(fn ->
        receive do
          :socket_is_yours ->
            :gen_tcp.send(socket, input)
            :gen_tcp.close(socket)
        end
      end)

    # A socket that is closed by now has nobody to feed; the send tells so too.
    :gen_tcp.controlling_process(socket, feeder)
    send(feeder, :socket_is_yours)
    %{output | feeder: {feeder, socket}, sockets: Map.delete(output.sockets, socket)}
  end

  @doc "Asks each stream for one more chunk, if it was not asked already."
  @spec demand(t()) :: t()
  def demand(%__MODULE__{sockets: sockets, armed: armed} = output) do
    for {socket, _stream} <- sockets, socket not in armed do
      # A socket that is closed meanwhile tells so by a message of its own.
      :inet.setopts(socket, active: :once)
    end

    %{output | armed: Map.keys(sockets)}
  end

  @doc "Guards `receive`: whether a message is for `message/2`. `sockets` are those of the output."
  defguard is_message(message, sockets)
           when is_tuple(message) and tuple_size(message) >= 2 and
                  is_map_key(sockets, elem(message, 1))

  @doc "What a message of one of the sockets means."
  @spec message(t(), tuple()) :: {:data, stream(), binary(), t()} | {:eof, t()}
  def message(%__MODULE__{} = output, {:tcp, socket, data}) do
    {:data, output.sockets[socket], data, disarm(output, socket)}
  end

  def message(%__MODULE__{} = output, closed_or_error) do
    {:eof, drop(output, elem(closed_or_error, 1))}
  end

  defp disarm(output, socket), do: %{output | armed: List.delete(output.armed, socket)}

  defp drop(output, socket) do
    :gen_tcp.close(socket)
    disarm(%{output | sockets: Map.delete(output.sockets, socket)}, socket)
  end

  @doc """
  After the workload's end: the next chunk that is there now, or `:done`.

  It does not wait for the end of the streams, which another process may hold open.
  """
  @spec drain(t()) :: {:data, stream(), binary(), t()} | {:done, t()}
  def drain(%__MODULE__{drained: drained} = output) when drained > @drain_limit do
    {:done, output}
  end

  def drain(%__MODULE__{} = output) do
    case Enum.at(output.sockets, 0) do
      nil -> {:done, output}
      {socket, stream} -> drain(output, socket, stream)
    end
  end

  defp drain(output, socket, stream) do
    case take(socket, socket in output.armed) do
      {:ok, data} ->
        drained = output.drained + byte_size(data)
        {:data, stream, data, disarm(%{output | drained: drained}, socket)}

      {:error, _nothing_left} ->
        output |> drop(socket) |> drain()
    end
  end

  # An armed socket may have sent its message already.
  defp take(socket, true) do
    :inet.setopts(socket, active: false)

    receive do
      {:tcp, ^socket, data} -> {:ok, data}
      {:tcp_closed, ^socket} -> {:error, :closed}
      {:tcp_error, ^socket, reason} -> {:error, reason}
    after
      0 -> take(socket, false)
    end
  end

  defp take(socket, false), do: :gen_tcp.recv(socket, 0, 0)

  @doc "Closes whatever is open and forgets the messages that are still here."
  @spec close(t()) :: :ok
  def close(%__MODULE__{} = output) do
    for {_stream, path, listener} <- output.listeners, do: forget(path, listener)

    for {socket, _stream} <- output.sockets do
      :gen_tcp.close(socket)
      flush(socket)
    end

    # A grandchild may hold stdin open and never read.
    if output.feeder, do: stop_feeder(output.feeder)
    remove_directory(output)
    :ok
  end

  defp stop_feeder({feeder, socket}) do
    # What is queued in the socket would keep it open.
    :inet.setopts(socket, linger: {true, 0})
    Process.exit(feeder, :kill)
  end

  defp flush(socket) do
    receive do
      {:tcp, ^socket, _data} -> flush(socket)
      {:tcp_closed, ^socket} -> flush(socket)
      {:tcp_error, ^socket, _reason} -> flush(socket)
    after
      0 -> :ok
    end
  end
end
