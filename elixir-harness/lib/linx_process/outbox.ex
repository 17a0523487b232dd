defmodule LinxProcess.Outbox do
  @moduledoc """
  Writes frames to a port without ever being suspended, and with a bound.

  A port whose pipe is full is busy, and port_command/2 then suspends its caller. So
  the first frame that meets a busy port starts a writer, a process of its own that may
  be suspended; until it has caught up, every frame goes through it, in order. What
  waits for the writer is counted, so that there can be a bound.
  """

  @enforce_keys [:port, :max]
  defstruct [:port, :max, :writer, queued: 0]

  @typedoc """
    * `:port`: owned by the process that calls
    * `:max`: the most bytes that may wait
    * `:queued`: the bytes that wait for the writer
  """
  @type t :: %__MODULE__{
          port: port(),
          max: pos_integer(),
          writer: pid() | nil,
          queued: non_neg_integer()
        }

  @doc "An outbox for a port of the calling process."
  @spec new(port(), pos_integer()) :: t()
  def new(port, max), do: %__MODULE__{port: port, max: max}

  @doc "Whether `bytes` more would fit, if they had to wait."
  @spec room?(t(), non_neg_integer()) :: boolean()
  def room?(%__MODULE__{queued: queued, max: max}, bytes), do: queued + bytes <= max

  @doc """
  Writes a frame, or queues it for the writer. The caller asks `room?/2` before.

  `:closed` means that the port is gone; its owner hears of that from the port itself.
  """
  @spec push(t(), binary()) :: {:ok, t()} | {:error, :closed}
  def push(%__MODULE__{queued: 0} = outbox, frame) do
    if Port.command(outbox.port, frame, [:nosuspend]) do
      {:ok, outbox}
    else
      {:ok, enqueue(outbox, frame)}
    end
  rescue
    ArgumentError -> {:error, :closed}
  end

  def push(%__MODULE__{} = outbox, frame), do: {:ok, enqueue(outbox, frame)}

  defp enqueue(outbox, frame) do
    writer = outbox.writer || start_writer(outbox.port)
    send(writer, {:write, frame})
    %{outbox | writer: writer, queued: outbox.queued + byte_size(frame)}
  end

  @doc "The writer tells its outbox, by a message, that so many bytes are written."
  @spec written(t(), non_neg_integer()) :: t()
  def written(%__MODULE__{} = outbox, bytes), do: %{outbox | queued: outbox.queued - bytes}

  defp start_writer(port) do
    outbox_owner = self()
    spawn_link(fn -> write_loop(port, outbox_owner) end)
  end

  defp write_loop(port, outbox_owner) do
    receive do
      {:write, frame} ->
        Port.command(port, frame)
        send(outbox_owner, {__MODULE__, :written, byte_size(frame)})
        write_loop(port, outbox_owner)
    end
  rescue
    # The port is closed. Its owner knows that from the port.
    ArgumentError -> :ok
  end
end
