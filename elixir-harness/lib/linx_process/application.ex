defmodule LinxProcess.Application do
  @moduledoc false

  use Application

  @impl true
  def start(_type, _args) do
    children = [
      {Registry, keys: :unique, name: LinxProcess.Registry},
      LinxProcess.Cluster,
      {DynamicSupervisor, name: LinxProcess.SessionSupervisor}
    ]

    Supervisor.start_link(children, strategy: :one_for_one, name: LinxProcess.Supervisor)
  end
end
