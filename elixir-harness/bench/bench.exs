# What a session costs, beside what Elixir has for the same: in one run, on one machine.
#
#     MIX_ENV=prod mix run bench/bench.exs [SECONDS]
#
# SECONDS is how long each measure takes, 2 by default. The numbers differ between
# machines; the ratios, each to System.cmd or to a plain port in the same run, less so.

defmodule Bench do
  alias LinxProcess.Pool

  @argv ["/bin/true"]
  @bytes 200_000_000

  def main(arguments) do
    ms = 1000 * (arguments |> List.first("2") |> String.to_integer())

    IO.puts("a whole /bin/true, one after another")
    cmd = per_second("System.cmd", ms, fn -> {"", 0} = System.cmd("/bin/true", []) end)
    port = per_second("Port.open", ms, &plain_port/0)
    cold = per_second("LinxProcess, cold", ms, &session/0)
    pooled = with_pool(8, &per_second("LinxProcess, pool", ms, fn -> pooled_session(&1) end))
    run = per_second("LinxProcess.run", ms, fn -> {:ok, _result} = LinxProcess.run(@argv) end)
    ratio("cold to System.cmd", cmd / cold, "times as long")
    ratio("cold to Port.open", port / cold, "times as long")
    ratio("pool to System.cmd", cmd / pooled, "times as long")
    ratio("run to System.cmd", cmd / run, "times as long")

    IO.puts("\na whole /bin/true, 8 at once")
    cmd = at_once("System.cmd", 8, ms, fn -> {"", 0} = System.cmd("/bin/true", []) end)
    cold = at_once("LinxProcess, cold", 8, ms, &session/0)
    ratio("cold to System.cmd", cmd / cold, "times as long")

    IO.puts("\nrequest to :running")
    for n <- [1, 8, 32], do: latency("cold", n, ms, &LinxProcess.spawn(@argv, &1), fn -> :ok end)
    for n <- [1, 8, 32], do: with_pool(n, &pool_latency(&1, n, ms))

    IO.puts("\n#{div(@bytes, 1_000_000)} MB of output")
    cmd = throughput("System.cmd", fn -> elem(System.cmd("head", head()), 0) end)

    run =
      throughput("LinxProcess.run", fn -> elem(LinxProcess.run(["head" | head()]), 1).stdout end)

    ratio("run to System.cmd", run / cmd, "times as fast")
  end

  defp head, do: ["-c", "#{@bytes}", "/dev/zero"]

  defp session do
    {:ok, session} = LinxProcess.spawn(@argv, auto_proceed: true, retain: 0)
    {:exited, 0} = terminal(session)
  end

  defp pooled_session(pool) do
    {:ok, session} = Pool.spawn(pool, @argv, auto_proceed: true, retain: 0)
    {:exited, 0} = terminal(session)
  end

  defp terminal(session) do
    receive do
      {:linx_process, ^session, {kind, _value} = event} when kind in [:exited, :error] -> event
    end
  end

  defp plain_port do
    port = Port.open({:spawn_executable, "/bin/true"}, [:binary, :exit_status])

    receive do
      {^port, {:exit_status, 0}} -> :ok
    end
  end

  defp per_second(name, ms, fun) do
    until = now() + ms * 1000
    started = now()
    count = repeat(fun, until, 0)
    report(name, count * 1_000_000 / (now() - started), "a second")
  end

  defp at_once(name, n, ms, fun) do
    until = now() + ms * 1000
    started = now()

    count =
      1..n
      |> Enum.map(fn _ -> Task.async(fn -> repeat(fun, until, 0) end) end)
      |> Task.await_many(:infinity)
      |> Enum.sum()

    report(name, count * 1_000_000 / (now() - started), "a second")
  end

  defp repeat(fun, until, count) do
    fun.()
    if now() < until, do: repeat(fun, until, count + 1), else: count + 1
  end

  # Between two rounds the pool is given the time to refill, so that what is measured
  # is a session that finds an agent; the refilling goes on at the same time, as it does
  # in practice.
  defp pool_latency(pool, n, ms) do
    latency("pool", n, ms, &Pool.spawn(pool, @argv, &1), fn -> wait_until_full(pool, n) end)
  end

  defp wait_until_full(pool, size) do
    unless Pool.available(pool) == size do
      receive do
      after
        1 -> wait_until_full(pool, size)
      end
    end
  end

  defp with_pool(size, fun) do
    {:ok, pool} = Pool.start_link(size: size)
    result = fun.(pool)
    GenServer.stop(pool)
    result
  end

  # Rounds of n sessions that are started at the same time.
  defp latency(name, n, ms, start, before) do
    times = now() |> Kernel.+(ms * 1000) |> rounds(n, start, before, []) |> Enum.sort()

    IO.puts(
      "  #{String.pad_trailing("#{name}, #{n} at once", 20)} p50 #{at(times, 50)} us, p99 #{at(times, 99)} us"
    )
  end

  defp rounds(until, n, start, before, times) do
    before.()
    round = Task.await_many(for(_ <- 1..n, do: Task.async(fn -> time(start) end)), :infinity)
    times = round ++ times
    if now() < until, do: rounds(until, n, start, before, times), else: times
  end

  defp time(start) do
    began = now()
    {:ok, session} = start.(auto_proceed: true, retain: 0)

    receive do
      {:linx_process, ^session, :running} -> :ok
    end

    took = now() - began
    {:exited, 0} = terminal(session)
    took
  end

  defp at(sorted, percent), do: Enum.at(sorted, div(length(sorted) * percent, 100))

  defp throughput(name, fun) do
    rates =
      for _ <- 1..5 do
        started = now()
        @bytes = byte_size(fun.())
        @bytes / (now() - started)
      end

    report(name, Enum.max(rates), "MB/s")
  end

  defp report(name, value, unit) do
    IO.puts("  #{String.pad_trailing(name, 20)} #{Float.round(value * 1.0, 1)} #{unit}")
    value
  end

  defp ratio(name, value, unit) do
    IO.puts("  #{String.pad_trailing(name, 20)} #{Float.round(value * 1.0, 2)} #{unit}")
  end

  defp now, do: System.monotonic_time(:microsecond)
end

Bench.main(System.argv())
