defmodule LinxProcess.Request do
  @moduledoc """
  The first frame of a session: what the agent is asked to run, and how.

  A field that is `nil` is left out of the frame, so that the agent's default for it
  holds. `LinxProcess.Options` makes requests from what a caller writes;
  `LinxProcess.Protocol` turns them into frames.
  """

  # An environment may hold secrets, and a request shows up in crash reports.
  @derive {Inspect, except: [:env]}
  @enforce_keys [:kind, :argv]
  defstruct [
    :kind,
    :argv,
    :env,
    :namespaces,
    :target,
    :stdio,
    :cwd,
    :no_new_privs,
    :orphan_policy
  ]

  @typedoc "One of the eight kinds of namespaces(7)."
  @type namespace :: :user | :mount | :uts | :ipc | :cgroup | :net | :time | :pid

  @typedoc "What one of the descriptors 0, 1, 2 leads to."
  @type directive :: :inherit | :devnull | {:connect_unix, Path.t()}

  @type stdio ::
          :inherit
          | :devnull
          | :pty
          | [stdin: directive(), stdout: directive(), stderr: directive()]

  @type t :: %__MODULE__{
          kind: :spawn | :enter,
          argv: [String.t(), ...],
          env: [String.t()] | nil,
          namespaces: [namespace()] | nil,
          target: pos_integer() | nil,
          stdio: stdio() | nil,
          cwd: String.t() | nil,
          no_new_privs: boolean() | nil,
          orphan_policy: :linger | {:kill, non_neg_integer()} | nil
        }

  @doc """
  The term that stands for the request in the protocol.

      iex> LinxProcess.Request.to_term(%LinxProcess.Request{kind: :spawn, argv: ["/bin/true"]})
      {:spawn, %{argv: ["/bin/true"]}}
  """
  @spec to_term(t()) :: {:spawn | :enter, map()}
  def to_term(%__MODULE__{kind: kind} = request) do
    fields =
      request
      |> Map.from_struct()
      |> Map.delete(:kind)
      |> Map.reject(fn {_key, value} -> is_nil(value) end)

    {kind, fields}
  end
end
