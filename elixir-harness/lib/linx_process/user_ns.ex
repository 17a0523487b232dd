defmodule LinxProcess.UserNS do
  @moduledoc """
  The id maps of a user namespace, user_namespaces(7), written at the checkpoint.

      {:ok, session} = LinxProcess.spawn(["/bin/sh"], namespaces: [:user, :mount, :pid])
      :ok = LinxProcess.UserNS.map_root(session)
      :ok = LinxProcess.proceed(session)

  As root any map can be written. Without privilege the kernel takes a map of one's own
  id only, and for groups only once setgroups(2) is denied; larger maps go through
  newuidmap(1) and newgidmap(1), which grant what `/etc/subuid` and `/etc/subgid` say.
  All of this happens by itself: a map that this process may not write is handed to
  these programs, if they are there.
  """

  alias LinxProcess.{Error, OptionError}

  @typedoc "`{first id inside, first id outside, how many}`"
  @type range :: {non_neg_integer(), non_neg_integer(), pos_integer()}

  # An id is an unsigned 32-bit number.
  @ids 0..0xFFFFFFFF

  @doc """
  Maps root inside to the user and group that this VM runs as.
  """
  @spec map_root(LinxProcess.session()) :: :ok | {:error, term()}
  def map_root(session) do
    {uid, gid} = own_ids()
    map(session, uid: [{0, uid, 1}], gid: [{0, gid, 1}])
  end

  @doc """
  Writes the maps of a session that was started with `namespaces: [:user, …]` and that
  has not proceeded. Waits for the checkpoint.

    * `:uid`, `:gid`: lists of `t:range/0`; a map that is not given is not written
    * `:setgroups`: `:allow` or `:deny`; by default denied where the kernel demands it,
      which is where this VM is not root

  Errors: `{:error, %LinxProcess.Error{}}` with the stage `:setgroups`, `:uid_map` or
  `:gid_map`, `{:error, %LinxProcess.OptionError{}}`, and those of `LinxProcess.await/3`.
  The session stays at the checkpoint.
  """
  @spec map(LinxProcess.session(), keyword()) :: :ok | {:error, term()}
  def map(session, options) do
    with :ok <- check(options),
         :ok <- LinxProcess.await(session, :ready),
         {:ok, pid} <- LinxProcess.host_pid(session),
         :ok <- setgroups(pid, Keyword.get(options, :setgroups, default_setgroups())),
         :ok <- write_map(pid, :uid_map, "newuidmap", options[:uid]) do
      write_map(pid, :gid_map, "newgidmap", options[:gid])
    end
  end

  defp check(options) do
    case Enum.find(options, &(not valid?(&1))) do
      nil ->
        :ok

      {key, value} ->
        expected = "[{inside, outside, count}] as :uid and :gid, :allow or :deny as :setgroups"
        {:error, %OptionError{key: key, value: value, expected: expected}}
    end
  end

  defp valid?({:setgroups, value}), do: value in [:allow, :deny]
  defp valid?({key, [_ | _] = ranges}) when key in [:uid, :gid], do: Enum.all?(ranges, &range?/1)
  defp valid?(_other), do: false

  defp range?({inside, outside, count}) when inside in @ids and outside in @ids, do: count in @ids
  defp range?(_other), do: false

  @doc """
  The effective user and group id of this VM, as the file system sees them.
  """
  @spec own_ids() :: {non_neg_integer(), non_neg_integer()}
  def own_ids do
    status = File.read!("/proc/self/status")
    {effective(status, "Uid"), effective(status, "Gid")}
  end

  # The second of the four numbers: real, effective, saved, file system.
  defp effective(status, field) do
    [_line, effective] = Regex.run(~r/^#{field}:\t\d+\t(\d+)/m, status)
    String.to_integer(effective)
  end

  defp default_setgroups do
    case own_ids() do
      {0, _gid} -> :allow
      {_uid, _gid} -> :deny
    end
  end

  # This is what a new namespace has, unless an ancestor denies it.
  defp setgroups(_pid, :allow), do: :ok
  defp setgroups(pid, :deny), do: write(pid, :setgroups, "deny")

  @doc """
  The text of a map, one range per line.

      iex> LinxProcess.UserNS.format([{0, 1000, 1}, {1, 100_000, 65_536}])
      "0 1000 1\\n1 100000 65536\\n"
  """
  @spec format([range()]) :: String.t()
  def format(ranges) do
    Enum.map_join(ranges, fn {inside, outside, count} -> "#{inside} #{outside} #{count}\n" end)
  end

  defp write_map(_pid, _file, _helper, nil), do: :ok

  defp write_map(pid, file, helper, ranges) do
    case write(pid, file, format(ranges)) do
      :ok -> :ok
      {:error, error} -> by_helper(System.find_executable(helper), pid, file, ranges, error)
    end
  end

  # A map is written with one write(2), which is what File.write/2 does with a binary.
  defp write(pid, file, text) do
    case File.write("/proc/#{pid}/#{file}", text) do
      :ok -> :ok
      {:error, reason} -> {:error, Error.new(file, nil, "/proc/#{pid}/#{file}: #{reason}")}
    end
  end

  defp by_helper(nil, _pid, _file, _ranges, error), do: {:error, error}

  defp by_helper(helper, pid, file, ranges, _error) do
    numbers = Enum.flat_map(ranges, &Tuple.to_list/1)
    arguments = Enum.map([pid | numbers], &Integer.to_string/1)

    case System.cmd(helper, arguments, stderr_to_stdout: true) do
      {_output, 0} -> :ok
      {output, _status} -> {:error, Error.new(file, nil, String.trim(output))}
    end
  end
end
