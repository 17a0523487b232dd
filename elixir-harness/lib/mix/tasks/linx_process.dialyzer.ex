defmodule Mix.Tasks.LinxProcess.Dialyzer do
  @shortdoc "Runs Dialyzer over the library"

  @moduledoc """
  Runs Dialyzer, as it comes with Erlang, over the compiled library.

      mix linx_process.dialyzer

  The table of what the library uses (PLT) is built once for each pair of an Erlang and
  an Elixir, and kept below `_build`.
  """

  use Mix.Task

  # What the library calls. Its own Mix tasks are left out, and Mix with them.
  @applications [:erts, :kernel, :stdlib, :elixir, :logger]

  @warnings [:unknown, :unmatched_returns, :error_handling, :extra_return, :missing_return]

  @impl true
  def run(_arguments) do
    Mix.Task.run("compile")

    unless Code.ensure_loaded?(:dialyzer) do
      Mix.raise("there is no Dialyzer here; on Debian: apt-get install erlang-dialyzer")
    end

    plt = plt_path()
    unless File.exists?(plt), do: build(plt)

    case apply(:dialyzer, :run, [[files: beams(), init_plt: plt, warnings: @warnings] |> chars()]) do
      [] -> Mix.shell().info("dialyzer: nothing to warn of")
      warnings -> report(warnings)
    end
  end

  defp plt_path do
    erlang = :erlang.system_info(:version)
    Path.join(Mix.Project.build_path(), "dialyzer-#{erlang}-#{System.version()}.plt")
  end

  defp build(plt) do
    Mix.shell().info("building #{Path.relative_to_cwd(plt)}")
    directories = for application <- @applications, do: directory(application)
    partial = plt <> ".partial"

    apply(:dialyzer, :run, [
      chars(
        analysis_type: :plt_build,
        files_rec: directories,
        output_plt: partial
      )
    ])

    File.rename!(partial, plt)
  end

  defp directory(:erts),
    do: :code.lib_dir(:erts) |> List.to_string() |> Path.join("ebin") |> existing()

  defp directory(application),
    do: application |> :code.lib_dir() |> List.to_string() |> Path.join("ebin")

  defp existing(path), do: path

  defp beams do
    Mix.Project.compile_path()
    |> Path.join("*.beam")
    |> Path.wildcard()
    |> Enum.reject(&(Path.basename(&1) =~ ~r/^Elixir\.(Mix\.Tasks|.*Test)/))
  end

  # Dialyzer wants charlists for paths.
  defp chars(options) do
    Enum.map(options, fn
      {key, [path | _] = paths} when is_binary(path) ->
        {key, Enum.map(paths, &String.to_charlist/1)}

      {key, path} when is_binary(path) ->
        {key, String.to_charlist(path)}

      other ->
        other
    end)
  end

  defp report(warnings) do
    for warning <- warnings do
      text = apply(:dialyzer, :format_warning, [warning, [filename_opt: :fullpath]])
      Mix.shell().error(String.trim(to_string(text)))
    end

    Mix.raise("dialyzer: #{length(warnings)} warnings")
  end
end
