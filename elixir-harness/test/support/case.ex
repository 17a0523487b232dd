defmodule TestSupport.Case do
  @moduledoc """
  What the tests that run sessions share.
  """

  use ExUnit.CaseTemplate

  using do
    quote do
      import TestSupport.Case
      alias TestSupport.{FakeAgent, OS, VM}
    end
  end

  # Far more than anything here takes, for a machine that is busy with other things.
  @deadline 20_000

  @doc "The milliseconds after which a wait has failed."
  def deadline, do: @deadline

  @doc """
  Polls until the function returns something true, and returns that.
  """
  def eventually(fun, deadline \\ System.monotonic_time(:millisecond) + @deadline) do
    cond do
      value = fun.() ->
        value

      System.monotonic_time(:millisecond) > deadline ->
        ExUnit.Assertions.flunk("it never came true")

      true ->
        receive do
        after
          5 -> eventually(fun, deadline)
        end
    end
  end

  @doc """
  Takes this process' events of a session up to the terminal one, and returns them all.
  """
  def events(session, seen \\ []) do
    receive do
      {:linx_process, ^session, event} ->
        if terminal?(event), do: Enum.reverse([event | seen]), else: events(session, [event | seen])
    after
      @deadline -> ExUnit.Assertions.flunk("no terminal event behind #{inspect(seen)}")
    end
  end

  @doc """
  The terminal event, and the assurance that nothing follows it: the session has
  answered a call since, so what it was to send it has sent.
  """
  def only_terminal(session) do
    terminal = session |> events() |> List.last()
    LinxProcess.info(session)

    receive do
      {:linx_process, ^session, event} ->
        ExUnit.Assertions.flunk("#{inspect(event)} behind #{inspect(terminal)}")
    after
      0 -> terminal
    end
  end

  def terminal?({kind, _value}), do: kind in [:exited, :signaled, :aborted, :error]
  def terminal?(_event), do: false

  @doc "Takes terminal output of a session until it matches."
  def pty_until(session, pattern, seen \\ "") do
    if seen =~ pattern do
      seen
    else
      receive do
        {:linx_process, ^session, {:pty_out, data}} -> pty_until(session, pattern, seen <> data)
      after
        @deadline -> ExUnit.Assertions.flunk("never #{inspect(pattern)} in #{inspect(seen)}")
      end
    end
  end

  @doc "A directory of this test, gone after it."
  def tmp_dir do
    path = Path.join(System.tmp_dir!(), "lp-" <> Base.url_encode64(:rand.bytes(9)))
    File.mkdir_p!(path)
    ExUnit.Callbacks.on_exit(fn -> File.rm_rf!(path) end)
    path
  end
end
