defmodule LinxProcess.Info do
  @moduledoc """
  A session as `LinxProcess.info/1` sees it.

    * `:session`: the process of the session
    * `:state`: `:idle` (of a pool, no request yet), `:starting`, `:spawned`, `:ready`
      (parked at the checkpoint), `:running` or `:ended`
    * `:kind`, `:argv`: what was asked for, `nil` while idle
    * `:host_pid`, `:inner_pid`: the child's pid as the agent and as itself see it
    * `:agent_pid`: the pid of the agent, `nil` once it is gone
    * `:owner`: the process that gets the events, or `nil`
    * `:run_ms`: the milliseconds since `:running`, until the end
    * `:queued`: the bytes of commands that wait in this library
    * `:terminal`: the terminal event, once there is one
  """

  @enforce_keys [:session, :state]
  defstruct [
    :session,
    :state,
    :kind,
    :argv,
    :host_pid,
    :inner_pid,
    :agent_pid,
    :owner,
    :terminal,
    run_ms: 0,
    queued: 0
  ]

  @type t :: %__MODULE__{
          session: pid(),
          state: LinxProcess.Machine.state(),
          kind: :spawn | :enter | nil,
          argv: [String.t()] | nil,
          host_pid: pos_integer() | nil,
          inner_pid: pos_integer() | nil,
          agent_pid: pos_integer() | nil,
          owner: pid() | nil,
          terminal: LinxProcess.terminal() | nil,
          run_ms: non_neg_integer(),
          queued: non_neg_integer()
        }
end
