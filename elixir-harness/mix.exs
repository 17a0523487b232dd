defmodule LinxProcess.MixProject do
  use Mix.Project

  def project do
    [
      app: :linx_process,
      version: "0.1.0",
      elixir: "~> 1.14",
      description:
        "Runs programs in Linux sandboxes, each behind a port to the linx-process agent.",
      elixirc_paths: elixirc_paths(Mix.env()),
      start_permanent: Mix.env() == :prod,
      # The tests use PropEr and the dialyzer task uses Dialyzer. Both come with
      # Erlang and neither is a dependency of the library.
      prune_code_paths: false,
      deps: []
    ]
  end

  def application do
    [
      mod: {LinxProcess.Application, []},
      extra_applications: [:logger]
    ]
  end

  defp elixirc_paths(:test), do: ["lib", "test/support"]
  defp elixirc_paths(_env), do: ["lib"]
end
