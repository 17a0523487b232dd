defmodule LinxProcess.Run do
  @moduledoc """
  A program from its start to its end: `LinxProcess.run/2`.

  ## Options

  Those of `LinxProcess.Options` but `:owner`, `:auto_proceed`, `:retain` and `:stdio`,
  and

    * `:input`: iodata for the program's stdin, which is `/dev/null` without it
    * `:stderr`: `:capture` (the default), `:inherit` or `:devnull`
    * `:into`: a collectable for stdout, such as `IO.stream()`; a binary by default
    * `:timeout`: milliseconds, after which the program is stopped (SIGTERM, and
      SIGKILL after `:grace`); `:infinity` by default
    * `:max_bytes`: the most bytes of stdout and stderr together, beyond which it
      is stopped; `:infinity` by default
    * `:checkpoint`: a function that gets the session at the checkpoint, to write id maps
      or drop capabilities there; it returns `:ok`, or `{:error, reason}` to abort
    * `:target`: a pid, to enter its namespaces

  A program that was stopped by a limit is an error, which has in `:result` what was
  read until then.

  A program has ended when it has ended: what it left running in the background may
  hold its output open, and is not waited for.
  """

  alias LinxProcess.{Capture, Error, OptionError, Result}

  @own [:into, :timeout, :max_bytes]

  # What `receive` takes.
  @max_timeout 0xFFFFFFFF

  defstruct [
    :capture,
    :stdout,
    :collect,
    :started,
    :max_bytes,
    stderr: [],
    bytes: 0,
    limit: nil
  ]

  @doc false
  @spec run(term(), term()) :: {:ok, Result.t()} | {:error, Error.t() | OptionError.t()}
  def run(argv, options) do
    with :ok <- check_keyword(options),
         {own, options} = Keyword.split(options, @own),
         :ok <- check(own, :timeout),
         :ok <- check(own, :max_bytes),
         :ok <- check_into(own) do
      # Before there is a program, for this is the caller's code and may raise.
      into = Collectable.into(Keyword.get(own, :into, ""))
      start(argv, Keyword.put_new(options, :stderr, :capture), own, into)
    end
  end

  defp start(argv, options, own, {stdout, collect}) do
    started = System.monotonic_time(:millisecond)

    case Capture.start(argv, options) do
      {:ok, capture} ->
        collect_all(
          %__MODULE__{
            capture: capture,
            stdout: stdout,
            collect: collect,
            started: started,
            max_bytes: Keyword.get(own, :max_bytes, :infinity)
          },
          deadline(started, Keyword.get(own, :timeout, :infinity))
        )

      {:error, error} ->
        collect.(stdout, :halt)
        {:error, error}
    end
  end

  defp check_into(own) do
    into = Keyword.get(own, :into, "")

    if Collectable.impl_for(into),
      do: :ok,
      else: {:error, %OptionError{key: :into, value: into, expected: "a collectable"}}
  end

  defp check_keyword(options) do
    if Keyword.keyword?(options),
      do: :ok,
      else: {:error, %OptionError{key: :options, value: options, expected: "a keyword list"}}
  end

  defp check(own, key) do
    case Keyword.get(own, key, :infinity) do
      :infinity ->
        :ok

      n when is_integer(n) and n >= 0 and (key != :timeout or n <= @max_timeout) ->
        :ok

      value ->
        expected = "a non-negative integer (:timeout: at most #{@max_timeout}) or :infinity"
        {:error, %OptionError{key: key, value: value, expected: expected}}
    end
  end

  defp deadline(_started, :infinity), do: :infinity
  defp deadline(started, timeout), do: started + timeout

  defp collect_all(run, deadline) do
    {run, terminal} = loop(run, deadline)
    Capture.close(run.capture)
    finish(terminal, %{run | stdout: run.collect.(run.stdout, :done)})
  catch
    kind, reason ->
      trace = __STACKTRACE__
      run.collect.(run.stdout, :halt)
      :erlang.raise(kind, reason, trace)
  end

  defp loop(run, deadline) do
    case Capture.next(run.capture, deadline) do
      {:data, stream, data, capture} ->
        %{run | capture: capture} |> take(stream, data) |> loop(deadline)

      {:deadline, capture} ->
        %{run | capture: capture} |> stop(:timeout) |> loop(:infinity)

      {:ended, terminal, capture} ->
        {%{run | capture: capture}, terminal}
    end
  end

  # Once a limit has stopped the program, what it still writes is thrown away.
  defp take(%{limit: limit} = run, _stream, _data) when limit != nil, do: run

  defp take(%{bytes: bytes, max_bytes: max} = run, stream, data)
       when bytes + byte_size(data) > max do
    run |> add(stream, binary_part(data, 0, max - bytes)) |> stop(:max_bytes)
  end

  defp take(run, stream, data), do: add(run, stream, data)

  defp add(run, :stdout, data) do
    %{run | stdout: run.collect.(run.stdout, {:cont, data}), bytes: run.bytes + byte_size(data)}
  catch
    # The collectable is the caller's code. When it fails the program must not stay.
    kind, reason ->
      trace = __STACKTRACE__
      Capture.close(run.capture)
      :erlang.raise(kind, reason, trace)
  end

  defp add(run, :stderr, data) do
    %{run | stderr: [run.stderr, data], bytes: run.bytes + byte_size(data)}
  end

  defp stop(%{limit: nil} = run, limit) do
    Capture.request_stop(run.capture)
    %{run | limit: limit}
  end

  defp stop(run, _second_limit), do: run

  defp finish({:error, reason}, _run), do: {:error, Error.wrap(reason)}

  defp finish({:aborted, _pid}, %{limit: limit}) when limit != nil, do: {:error, Error.new(limit)}

  defp finish({:aborted, _pid}, _run) do
    {:error, Error.new(:checkpoint, nil, "the child was aborted there")}
  end

  defp finish(status, run) do
    result = %Result{
      status: status,
      stdout: run.stdout,
      stderr: IO.iodata_to_binary(run.stderr),
      bytes: run.bytes,
      host_pid: run.capture.host_pid,
      wall_ms: System.monotonic_time(:millisecond) - run.started
    }

    case run.limit do
      nil -> {:ok, result}
      limit -> {:error, %{Error.new(limit) | result: result}}
    end
  end
end
