defmodule LinxProcess.Options do
  @moduledoc """
  From what a caller writes to a request and the settings of its session.

  ## The workload

    * `:env`: the whole environment, as `"KEY=value"` strings, or pairs, or a map;
      by default that of the Erlang VM
    * `:namespaces`: those to create (`spawn`; none by default) or to join (`enter`; every
      one that differs by default): any of `:user`, `:mount`, `:uts`, `:ipc`, `:cgroup`,
      `:net`, `:time`, `:pid`
    * `:stdio`: `:inherit` (the default), `:devnull`, `:pty`, or
      `[stdin: d, stdout: d, stderr: d]`, each `d` one of `:inherit`, `:devnull`,
      `{:connect_unix, path}`
    * `:cwd`: the directory to start in, as the workload sees it
    * `:no_new_privs`: see prctl(2), `PR_SET_NO_NEW_PRIVS`; `false` by default
    * `:orphan_policy`: what happens when the VM or the session goes away while the workload
      runs: `:linger`, or `{:kill, grace_ms}`; `{:kill, 5000}` by default

  ## The session

    * `:owner`: the process that gets the events and with which the session ends; the
      caller by default, or nobody (`nil`)
    * `:auto_proceed`: `true` does not stop at the checkpoint; `false` by default
    * `:grace`: the milliseconds from SIGTERM to SIGKILL when the session is stopped, by
      its supervisor too; 5000 by default
    * `:max_queue`: the bytes of input that may wait in the session; 2 MiB by default
    * `:retain`: the milliseconds for which an ended session still answers; 30 000 by
      default
    * `:binary`: the agent to start, instead of what `LinxProcess.Binary` finds

  A bare command name as `argv[0]` is looked up on the VM's own `PATH`, except to enter:
  there the names are those of another mount namespace.
  """

  alias LinxProcess.{OptionError, Protocol, Request}

  @default_grace 5_000

  @enforce_keys [:request]
  defstruct [
    :request,
    :owner,
    :binary,
    auto_proceed: false,
    grace: @default_grace,
    max_queue: 2 * 1024 * 1024,
    retain: 30_000
  ]

  @type t :: %__MODULE__{
          request: Request.t(),
          owner: pid() | nil,
          binary: Path.t() | nil,
          auto_proceed: boolean(),
          grace: non_neg_integer(),
          max_queue: pos_integer(),
          retain: non_neg_integer()
        }

  @request_keys [:env, :namespaces, :stdio, :cwd, :no_new_privs, :orphan_policy]
  @session_keys [:owner, :auto_proceed, :grace, :max_queue, :retain, :binary]
  @max_ms 0x7FFFFFFF

  @string "a string without NUL bytes"
  @directives ":inherit, :devnull or {:connect_unix, path}"

  @doc "The `:grace` of a session that names none, in milliseconds."
  @spec default_grace() :: non_neg_integer()
  def default_grace, do: @default_grace

  @doc """
  Options for a child in fresh namespaces, or, with a target that is not `:none`, in
  those of that process.

      iex> {:ok, options} = LinxProcess.Options.parse(["/bin/true"], env: %{"A" => "1"})
      iex> options.request.env
      ["A=1"]
      iex> {:ok, options} = LinxProcess.Options.parse(["/bin/sh"], [owner: nil], 4711)
      iex> {options.request.kind, options.request.target}
      {:enter, 4711}
  """
  @spec parse(term(), term(), term()) :: {:ok, t()} | {:error, OptionError.t()}
  def parse(argv, options, target \\ :none) do
    with :ok <- check_argv(argv),
         :ok <- check_target(target),
         :ok <- check_keyword(options),
         {:ok, pairs} <- cast_all(options) do
      {request, session} = Keyword.split(pairs, @request_keys)

      request =
        struct!(
          Request,
          [kind: kind(target), argv: resolve(argv, target), target: pid(target)] ++ request
        )

      {:ok, struct!(__MODULE__, [request: request] ++ session)}
    end
  end

  @doc """
  The same, and the calling process is the owner unless one is named.

      iex> {:ok, options} = LinxProcess.Options.parse_owned(["/bin/true"], [], :none)
      iex> options.owner == self()
      true
  """
  @spec parse_owned(term(), term(), term()) :: {:ok, t()} | {:error, OptionError.t()}
  def parse_owned(argv, options, target) do
    if Keyword.keyword?(options) do
      parse(argv, Keyword.put_new(options, :owner, self()), target)
    else
      parse(argv, options, target)
    end
  end

  # nil is no target: a pid that a caller does not have must not become a program that
  # runs here, outside of any sandbox.
  defp kind(:none), do: :spawn
  defp kind(_target), do: :enter

  defp pid(:none), do: nil
  defp pid(target), do: target

  defp check_argv([_program | _arguments] = argv) do
    if string_list?(argv), do: :ok, else: bad_argv(argv)
  end

  defp check_argv(argv), do: bad_argv(argv)

  defp bad_argv(argv), do: error(:argv, argv, "a non-empty list of strings without NUL bytes")

  defp check_target(:none), do: :ok
  defp check_target(pid) when is_integer(pid) and pid > 0 and pid <= @max_ms, do: :ok
  defp check_target(other), do: error(:target, other, "the pid of a running process")

  defp check_keyword(options) do
    if Keyword.keyword?(options), do: :ok, else: error(:options, options, "a keyword list")
  end

  # The last value of a key that is given twice would win silently in a struct;
  # the first one wins everywhere else in Elixir.
  defp cast_all(options) do
    options
    |> Enum.uniq_by(fn {key, _value} -> key end)
    |> Enum.reduce_while({:ok, []}, fn {key, value}, {:ok, done} ->
      case cast(key, value) do
        {:ok, cast} -> {:cont, {:ok, [{key, cast} | done]}}
        {:expected, expected} -> {:halt, error(key, value, expected)}
      end
    end)
  end

  defp error(key, value, expected) do
    {:error, %OptionError{key: key, value: value, expected: expected}}
  end

  defp cast(:env, env) when is_map(env) and not is_struct(env), do: cast(:env, Map.to_list(env))

  defp cast(:env, env) do
    strings = proper_list?(env) && Enum.map(env, &variable/1)

    if strings && Enum.all?(strings, &is_binary/1) do
      {:ok, strings}
    else
      {:expected, ~s(a list of "KEY=value" strings or of pairs, or a map, without NUL bytes)}
    end
  end

  defp cast(:namespaces, namespaces) do
    if proper_list?(namespaces) and Enum.all?(namespaces, &(&1 in Protocol.namespaces())) do
      {:ok, Enum.uniq(namespaces)}
    else
      {:expected, "a list of " <> Enum.map_join(Protocol.namespaces(), ", ", &inspect/1)}
    end
  end

  defp cast(:stdio, stdio) when stdio in [:inherit, :devnull, :pty], do: {:ok, stdio}

  defp cast(:stdio, stdio) do
    if Keyword.keyword?(stdio) and Enum.all?(stdio, &directive?/1) do
      {:ok, stdio}
    else
      {:expected,
       ":inherit, :devnull, :pty or [stdin: d, stdout: d, stderr: d] with d #{@directives}"}
    end
  end

  defp cast(:cwd, cwd), do: check(cwd, string?(cwd), @string)
  defp cast(:no_new_privs, value), do: check(value, is_boolean(value), "a boolean")
  defp cast(:auto_proceed, value), do: check(value, is_boolean(value), "a boolean")

  defp cast(:orphan_policy, :linger), do: {:ok, :linger}
  defp cast(:orphan_policy, {:kill, ms}) when ms in 0..@max_ms, do: {:ok, {:kill, ms}}

  defp cast(:orphan_policy, _other) do
    {:expected, ":linger or {:kill, grace_ms} with 0 to #{@max_ms} ms"}
  end

  defp cast(:owner, owner), do: check(owner, is_pid(owner) or is_nil(owner), "a pid or nil")

  defp cast(key, ms) when key in [:grace, :retain] do
    check(ms, is_integer(ms) and ms in 0..@max_ms, "0 to #{@max_ms} ms")
  end

  defp cast(:max_queue, n), do: check(n, is_integer(n) and n > 0, "a number of bytes above 0")
  defp cast(:binary, path), do: check(path, string?(path), @string)

  defp cast(_unknown, _value) do
    {:expected,
     "one of the keys " <> Enum.map_join(@request_keys ++ @session_keys, ", ", &inspect/1)}
  end

  defp check(value, true, _expected), do: {:ok, value}
  defp check(_value, false, expected), do: {:expected, expected}

  defp variable({name, value}) when is_binary(name) and is_binary(value) do
    if name != "" and not String.contains?(name, "="), do: variable(name <> "=" <> value)
  end

  defp variable(string), do: if(string?(string), do: string)

  defp directive?({fd, directive}) when fd in [:stdin, :stdout, :stderr] do
    case directive do
      {:connect_unix, path} -> string?(path)
      other -> other in [:inherit, :devnull]
    end
  end

  defp directive?(_other), do: false

  defp string_list?(list), do: proper_list?(list) and Enum.all?(list, &string?/1)
  defp string?(value), do: is_binary(value) and :binary.match(value, <<0>>) == :nomatch
  defp proper_list?(value), do: is_list(value) and List.improper?(value) == false

  defp resolve([program | arguments], :none) do
    if String.contains?(program, "/") do
      [program | arguments]
    else
      [System.find_executable(program) || program | arguments]
    end
  end

  defp resolve(argv, _target), do: argv
end
