defmodule LinxProcess.Capture do
  @moduledoc """
  A workload and its output together, read by the process that started it.

  `LinxProcess.Run` and `LinxProcess.Streaming` are both a loop around `next/2`: ask for
  a chunk, get a chunk, until the workload has ended and all that it wrote is read.
  """

  require LinxProcess.Output

  alias LinxProcess.{Error, OptionError, Options, Output, Session}

  @enforce_keys [:session, :monitor, :output, :grace]
  defstruct [:session, :monitor, :output, :grace, :checkpoint, :input, :host_pid, :terminal]

  @typedoc """
    * `:checkpoint`, `:input`: as given, until they are used
    * `:terminal`: the terminal event, once it has come
  """
  @type t :: %__MODULE__{
          session: pid(),
          monitor: reference(),
          output: Output.t(),
          grace: non_neg_integer(),
          checkpoint: (pid() -> :ok | {:error, term()}) | nil,
          input: iodata() | nil,
          host_pid: pos_integer() | nil,
          terminal: LinxProcess.terminal() | nil
        }

  @own [:target, :input, :stderr, :checkpoint]

  # What a capture decides itself.
  @taken [:owner, :auto_proceed, :retain, :stdio]

  @doc """
  Starts a workload whose stdout, and with `stderr: :capture` also stderr, is read here.

  Options beside those of `LinxProcess.Options`: `:target`, `:input`, `:stderr`,
  `:checkpoint`; see `LinxProcess.Run`.
  """
  @spec start(term(), keyword()) :: {:ok, t()} | {:error, Error.t() | OptionError.t()}
  def start(argv, options) do
    {own, options} = Keyword.split(options, @own)

    with :ok <- check_all(own),
         :ok <- check_taken(options),
         {:ok, parsed} <- parse(argv, options, own),
         {:ok, output, directives} <- Output.open(streams(own)) do
      start_session(parsed, output, directives, own)
    end
  end

  defp check_all(own) do
    Enum.find_value(own, :ok, fn {key, value} ->
      case check(key, value) do
        true -> nil
        {false, expected} -> option_error(key, value, expected)
      end
    end)
  end

  defp check(:target, _checked_with_the_request), do: true
  defp check(_key, nil), do: true
  defp check(:stderr, value) when value in [:capture, :inherit, :devnull], do: true
  defp check(:stderr, _value), do: {false, ":capture, :inherit or :devnull"}
  defp check(:input, value), do: iodata?(value) or {false, "iodata"}
  defp check(:checkpoint, value) when is_function(value, 1), do: true
  defp check(:checkpoint, _value), do: {false, "a function of the session"}

  defp iodata?(value) do
    is_binary(value) or (is_list(value) and IO.iodata_length(value) >= 0)
  rescue
    ArgumentError -> false
  end

  defp check_taken(options) do
    case Enum.find(options, fn {key, _value} -> key in @taken end) do
      nil -> :ok
      {key, value} -> option_error(key, value, "no such option here")
    end
  end

  defp option_error(key, value, expected) do
    {:error, %OptionError{key: key, value: value, expected: expected}}
  end

  defp parse(argv, options, own) do
    taken = [owner: self(), auto_proceed: own[:checkpoint] == nil, retain: 0]
    Options.parse(argv, taken ++ options, Keyword.get(own, :target, :none))
  end

  defp streams(own) do
    stdin = if own[:input], do: [:stdin], else: []
    stderr = if own[:stderr] == :capture, do: [:stderr], else: []
    stdin ++ [:stdout] ++ stderr
  end

  defp start_session(parsed, output, directives, own) do
    defaults = [stdin: :devnull, stderr: own[:stderr] || :inherit]
    parsed = put_in(parsed.request.stdio, Keyword.merge(defaults, directives))

    case Session.start(parsed) do
      {:ok, session} ->
        {:ok,
         %__MODULE__{
           session: session,
           monitor: Process.monitor(session),
           output: output,
           grace: parsed.grace,
           checkpoint: own[:checkpoint],
           input: own[:input]
         }}

      {:error, error} ->
        Output.close(output)
        {:error, error}
    end
  end

  @doc """
  Waits for what comes next, at most until `deadline`, a monotonic time in milliseconds.

  `:ended` comes last, once everything that the workload wrote has been returned.
  """
  @spec next(t(), integer() | :infinity) ::
          {:data, Output.stream(), binary(), t()}
          | {:ended, LinxProcess.terminal(), t()}
          | {:deadline, t()}
  def next(%__MODULE__{terminal: nil} = capture, deadline) do
    %{session: session, monitor: monitor, output: output} = capture
    %{sockets: sockets} = output = Output.demand(output)
    capture = %{capture | output: output}

    receive do
      {:linx_process, ^session, event} ->
        event |> event(capture) |> next(deadline)

      {:DOWN, ^monitor, :process, ^session, _reason} ->
        next(%{capture | terminal: {:error, :agent_died}}, deadline)

      message when Output.is_message(message, sockets) ->
        case Output.message(output, message) do
          {:data, stream, data, output} -> {:data, stream, data, %{capture | output: output}}
          {:eof, output} -> next(%{capture | output: output}, deadline)
        end
    after
      remaining(deadline) -> {:deadline, capture}
    end
  end

  def next(%__MODULE__{} = capture, _deadline) do
    case Output.drain(capture.output) do
      {:data, stream, data, output} -> {:data, stream, data, %{capture | output: output}}
      {:done, output} -> {:ended, capture.terminal, %{capture | output: output}}
    end
  end

  defp remaining(:infinity), do: :infinity
  defp remaining(deadline), do: max(deadline - System.monotonic_time(:millisecond), 0)

  defp event({:spawned, pid}, capture) do
    case Output.accept(capture.output) do
      {:ok, output} -> feed(%{capture | output: output, host_pid: pid})
      {:error, error} -> give_up(capture, error)
    end
  end

  defp event({:ready, _pid}, %{checkpoint: checkpoint} = capture) when checkpoint != nil do
    with :ok <- at_checkpoint(checkpoint, capture),
         :ok <- LinxProcess.proceed(capture.session) do
      %{capture | checkpoint: nil}
    else
      # The session's own terminal event says more.
      {:error, :ended} -> capture
      {:error, {:ended, _terminal}} -> capture
      {:error, %Error{} = error} -> give_up(capture, error)
      {:error, reason} -> give_up(capture, Error.new(:checkpoint, nil, inspect(reason)))
      other -> give_up(capture, Error.new(:checkpoint, nil, "it returned #{inspect(other)}"))
    end
  end

  defp event({kind, _value} = terminal, capture)
       when kind in [:exited, :signaled, :aborted, :error],
       do: %{capture | terminal: terminal}

  defp event(_other, capture), do: capture

  # This is the caller's code. When it fails the child must not stay.
  defp at_checkpoint(checkpoint, capture) do
    checkpoint.(capture.session)
  catch
    kind, reason ->
      trace = __STACKTRACE__
      close(capture)
      :erlang.raise(kind, reason, trace)
  end

  defp feed(%{input: nil} = capture), do: capture

  defp feed(%{input: input} = capture) do
    %{capture | output: Output.feed(capture.output, input), input: nil}
  end

  # The session's own terminal event is taken back by close/1.
  defp give_up(capture, error) do
    LinxProcess.stop(capture.session, capture.grace)
    %{capture | terminal: {:error, error}}
  end

  @doc "Asks for the end. It comes as always, by `next/2`."
  @spec request_stop(t()) :: :ok
  def request_stop(%__MODULE__{session: session, grace: grace}) do
    GenServer.cast(session, {:stop, grace})
  end

  @doc """
  Leaves nothing behind: no workload, no socket, no message. Stops the workload when it
  has not ended, and waits for that.
  """
  @spec close(t()) :: :ok
  def close(%__MODULE__{session: session} = capture) do
    Output.close(capture.output)
    if capture.terminal == nil, do: LinxProcess.stop(session, capture.grace)
    Process.demonitor(capture.monitor, [:flush])
    flush(session)
  end

  defp flush(session) do
    receive do
      {:linx_process, ^session, _event} -> flush(session)
    after
      0 -> :ok
    end
  end
end
