defmodule LinxProcess.Streaming do
  @moduledoc """
  A program's output as an enumerable: `LinxProcess.stream!/2`.

  Nothing happens until the stream is enumerated, and each enumeration runs the program
  again. A chunk is read when the consumer asks for one: a program whose consumer is
  slow waits in write(2), and memory stays bounded. A consumer that stops early stops
  the program: SIGTERM, and SIGKILL after `:grace` milliseconds.

  The elements are binaries of stdout, as they come.

  The stream raises `LinxProcess.OptionError` for options that cannot be, and
  `LinxProcess.Error` when the session fails, or, behind the last element, when the
  program ends otherwise than by exit status 0.

  ## Options

  Those of `LinxProcess.Run` but `:into`, `:timeout` and `:max_bytes`. stderr is inherited
  by default and cannot be captured.
  """

  alias LinxProcess.{Capture, Error, OptionError, Signal}

  @doc false
  @spec stream!(term(), term()) :: Enumerable.t()
  def stream!(argv, options) do
    Stream.resource(fn -> start(argv, options) end, &next/1, &Capture.close/1)
  end

  defp start(argv, options) do
    with :ok <- check(options),
         {:ok, capture} <- Capture.start(argv, options) do
      capture
    else
      {:error, error} -> raise error
    end
  end

  defp check(options) do
    cond do
      not Keyword.keyword?(options) ->
        {:error, %OptionError{key: :options, value: options, expected: "a keyword list"}}

      options[:stderr] == :capture ->
        {:error, %OptionError{key: :stderr, value: :capture, expected: ":inherit or :devnull"}}

      true ->
        :ok
    end
  end

  defp next(capture) do
    case Capture.next(capture, :infinity) do
      {:data, :stdout, data, capture} -> {[data], capture}
      {:ended, {:exited, 0}, capture} -> {:halt, capture}
      {:ended, terminal, capture} -> fail(capture, terminal)
    end
  end

  # Stream.resource/3 would close the capture as it was before this element.
  @spec fail(Capture.t(), LinxProcess.terminal()) :: no_return()
  defp fail(capture, terminal) do
    Capture.close(capture)
    raise error(terminal)
  end

  defp error({:error, reason}), do: Error.wrap(reason)
  defp error({:exited, code}), do: Error.new(:exit, nil, "exit status #{code}")
  defp error({:signaled, n}), do: Error.new(:exit, nil, "killed by #{Signal.describe(n)}")
  defp error({:aborted, _pid}), do: Error.new(:checkpoint, nil, "the child was aborted there")
end
