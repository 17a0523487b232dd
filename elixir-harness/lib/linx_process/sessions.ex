defmodule LinxProcess.Sessions do
  @moduledoc """
  All sessions of this node that have not ended.

  A session enters itself when its request is written and leaves at its end, so what
  is listed here are workloads, not processes that still know how theirs went.
  """

  alias LinxProcess.Request

  @registry LinxProcess.Registry

  @typedoc """
  What is known of a session without asking it. `:host_pid` is `nil` until the child
  exists, `:run_ms` is 0 until it runs.
  """
  @type entry :: %{
          session: pid(),
          kind: :spawn | :enter,
          argv: [String.t()],
          host_pid: pos_integer() | nil,
          run_ms: non_neg_integer()
        }

  @doc "Every session, the one that has run longest first."
  @spec list() :: [entry()]
  def list do
    now = System.monotonic_time(:millisecond)

    @registry
    |> Registry.select([{{:"$1", :_, :"$2"}, [], [{{:"$1", :"$2"}}]}])
    |> Enum.map(fn {session, entry} ->
      {at, entry} = Map.pop!(entry, :running_at)
      Map.merge(entry, %{session: session, run_ms: if(at, do: now - at, else: 0)})
    end)
    |> Enum.sort_by(& &1.run_ms, :desc)
  end

  @doc "How many there are."
  @spec count() :: non_neg_integer()
  def count, do: Registry.count(@registry)

  @doc "Everything that one session tells about itself; see `LinxProcess.info/1`."
  @spec inspect(pid()) :: {:ok, LinxProcess.Info.t()} | {:error, :noproc}
  def inspect(session), do: LinxProcess.info(session)

  @doc """
  Stops every session of this node, all at once, and returns how each one ended.

  `grace` are the milliseconds from SIGTERM to SIGKILL.
  """
  @spec stop_all(non_neg_integer()) :: [{pid(), LinxProcess.terminal() | {:error, :noproc}}]
  def stop_all(grace \\ 5_000) do
    sessions = Enum.map(list(), & &1.session)

    sessions
    |> Task.async_stream(&LinxProcess.stop(&1, grace),
      max_concurrency: max(length(sessions), 1),
      timeout: :infinity
    )
    |> Enum.zip_with(sessions, fn {:ok, terminal}, session -> {session, terminal} end)
  end

  @doc false
  @spec register(Request.t()) :: :ok
  def register(%Request{kind: kind, argv: argv}) do
    entry = %{kind: kind, argv: argv, host_pid: nil, running_at: nil}
    {:ok, _registry} = Registry.register(@registry, self(), entry)
    :ok
  end

  @doc false
  @spec update(:host_pid | :running_at, integer()) :: :ok
  def update(field, value) do
    # It is not in a registry that was restarted since.
    Registry.update_value(@registry, self(), &Map.put(&1, field, value))
    :ok
  end

  @doc false
  @spec unregister() :: :ok
  def unregister, do: Registry.unregister(@registry, self())
end
