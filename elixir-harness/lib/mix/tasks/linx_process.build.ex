defmodule Mix.Tasks.LinxProcess.Build do
  @shortdoc "Builds the linx-process agent into priv/"

  @moduledoc """
  Builds the agent into `priv/linx-process`, where `LinxProcess.Binary` looks last.

      mix linx_process.build [SOURCE]

  `SOURCE` is the directory of the Go module, `..` by default. It needs Go on the
  `PATH`.
  """

  use Mix.Task

  @impl true
  def run(arguments) do
    # As a dependency this library is not the current project.
    root = Mix.Project.deps_paths()[:linx_process] || File.cwd!()
    source = List.first(arguments) || Path.expand("..", root)
    target = Path.join([root, "priv", "linx-process"])

    go =
      System.find_executable("go") ||
        Mix.raise("there is no go on the PATH; see https://go.dev/dl/")

    File.mkdir_p!(Path.dirname(target))

    {_output, status} =
      System.cmd(go, ["build", "-trimpath", "-ldflags=-s -w", "-o", target, "./cmd/linx-process"],
        cd: source,
        env: [{"CGO_ENABLED", "0"}],
        into: IO.stream()
      )

    if status == 0,
      do: Mix.shell().info("built #{target}"),
      else: Mix.raise("go build failed in #{source}")
  end
end
