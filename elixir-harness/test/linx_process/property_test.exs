defmodule LinxProcess.PropertyTest do
  @moduledoc """
  PropEr's properties of the pure parts.
  """

  use ExUnit.Case, async: true

  import TestSupport.Proper

  alias LinxProcess.{Error, Machine, Protocol, Request}

  test "an event is what its frame was made of" do
    holds(
      forall event <- event() do
        Protocol.decode_event(:erlang.term_to_binary(term(event))) == {:ok, event}
      end
    )
  end

  test "any term is an event or :error, and nothing else happens" do
    holds(
      forall term <- :proper_types.term() do
        decoded?(Protocol.decode_event(:erlang.term_to_binary(term)))
      end
    )
  end

  test "any bytes are an event or :error, and nothing else happens" do
    holds(
      forall bytes <- :proper_types.oneof([:proper_types.binary(), truncated(), flipped()]) do
        decoded?(Protocol.decode_event(bytes))
      end
    )
  end

  test "a request's frame decodes, safely, to the request" do
    holds(
      forall request <- request() do
        {:ok, frame} = Protocol.encode_request(request)
        {kind, map} = :erlang.binary_to_term(frame, [:safe])
        struct!(Request, Map.put(map, :kind, kind)) == request
      end
    )
  end

  test "a command is written as it is, and anything else is refused" do
    holds(
      forall term <- :proper_types.oneof([command(), :proper_types.term()]) do
        case Protocol.encode_command(term) do
          {:ok, frame} -> Protocol.command?(term) and :erlang.binary_to_term(frame) == term
          :error -> not Protocol.command?(term)
        end
      end
    )
  end

  test "options are parsed or refused by name, whatever they are" do
    keys = [:env, :namespaces, :stdio, :cwd, :orphan_policy, :owner, :grace, :binary, :other]

    holds(
      forall {key, value} <- {:proper_types.oneof(keys), :proper_types.term()} do
        case LinxProcess.Options.parse(["/bin/true"], [{key, value}]) do
          {:ok, _options} -> true
          {:error, error} -> error.key == key and is_binary(Exception.message(error))
        end
      end
    )
  end

  # The model knows less than the machine: a phase, whether the checkpoint is over, and
  # what must have been written by now. The agent's events are those that its
  # protocol allows, and some that it does not.
  test "random verbs and events leave the machine where the model is" do
    steps = :proper_types.list(:proper_types.oneof([verb_step(), verb_step(), event_step()]))

    holds(
      forall {pty, steps} <- {:proper_types.boolean(), steps} do
        machine = Machine.request(Machine.new(), pty)
        model = %{phase: 0, pty: pty, released: false, kept: [], written: []}
        Enum.reduce_while(steps, {machine, [], model}, &step/2) != :differ
      end
    )
  end

  defp step({:verb, command}, {machine, written, model}) do
    {expected, model} = model_verb(command, model)

    {actual, machine, written} =
      case Machine.verb(machine, command) do
        {:write, machine} -> {:ok, machine, [command | written]}
        {:keep, machine} -> {:ok, machine, written}
        {:error, reason} -> {reason, machine, written}
      end

    compare(expected == actual, machine, written, model)
  end

  defp step({:event, event}, {machine, written, model}) do
    {expected, model} = model_event(event, model)

    {actual, machine, written} =
      case Machine.event(machine, event) do
        {:ok, machine, flushed} -> {:ok, machine, Enum.reverse(flushed) ++ written}
        {:error, :out_of_order} -> {:out_of_order, machine, written}
      end

    compare(expected == actual, machine, written, model)
  end

  defp compare(same_answer, machine, written, model) do
    if same_answer and written == model.written and machine.state == :ended == (model.phase == 9),
      do: {:cont, {machine, written, model}},
      else: {:halt, :differ}
  end

  # Phases: 0 requested, 1 spawned, 2 ready, 3 running, 9 ended.
  defp model_verb(_command, %{phase: 9} = model), do: {:ended, model}

  defp model_verb({kind, _}, %{pty: false} = model) when kind in [:pty_in, :pty_winsize],
    do: {:no_pty, model}

  defp model_verb({kind, _} = command, %{phase: phase} = model)
       when kind in [:signal, :pty_in] and phase < 3,
       do: {:ok, %{model | kept: model.kept ++ [command]}}

  defp model_verb({kind, _} = command, model) when kind in [:signal, :pty_in, :pty_winsize],
    do: {:ok, wrote(model, [command])}

  defp model_verb(_command, %{released: true} = model), do: {:not_at_checkpoint, model}
  defp model_verb(_command, %{phase: 3} = model), do: {:not_at_checkpoint, model}

  defp model_verb(command, model) when command in [:proceed, :abort],
    do: {:ok, wrote(%{model | released: true}, [command])}

  defp model_verb(command, model), do: {:ok, wrote(model, [command])}

  defp model_event({:spawned, _}, %{phase: 0} = model), do: {:ok, %{model | phase: 1}}
  defp model_event({:ready, _}, %{phase: 1} = model), do: {:ok, %{model | phase: 2}}

  defp model_event(:running, %{phase: 2} = model),
    do: {:ok, wrote(%{model | phase: 3, kept: []}, model.kept)}

  defp model_event({kind, _}, %{phase: 3} = model) when kind in [:pty_out, :pty_in_dropped],
    do: {:ok, model}

  defp model_event({:aborted, _}, %{phase: 2} = model), do: {:ok, %{model | phase: 9}}

  defp model_event({kind, _}, %{phase: phase} = model)
       when kind in [:exited, :signaled] and phase in 1..3,
       do: {:ok, %{model | phase: 9}}

  defp model_event({:error, _}, %{phase: phase} = model) when phase < 9,
    do: {:ok, %{model | phase: 9}}

  defp model_event(_event, model), do: {:out_of_order, model}

  defp wrote(model, commands), do: %{model | written: Enum.reverse(commands) ++ model.written}

  # Generators

  defp verb_step, do: {:verb, command()}

  # Those that lead on are the likelier ones, or few sequences would run.
  defp event_step do
    on = Enum.map([{:spawned, 5}, {:ready, 5}, :running], &:proper_types.exactly/1)
    {:event, :proper_types.frequency([{3, :proper_types.oneof(on)}, {1, event()}])}
  end

  defp u64, do: :proper_types.integer(0, 0xFFFFFFFFFFFFFFFF)
  defp u16, do: :proper_types.integer(0, 65_535)

  defp command do
    :proper_types.oneof([
      :proceed,
      :abort,
      {:cap_drop_bounding, u64()},
      {:cap_set_thread, u64(), u64(), u64()},
      {:cap_set_ambient, u64()},
      {:seccomp_install, :proper_types.binary()},
      {:pty_winsize, {u16(), u16(), u16(), u16()}},
      {:signal, :proper_types.integer(1, 64)},
      {:pty_in, :proper_types.binary()}
    ])
  end

  defp event do
    pid = :proper_types.integer(1, 4_194_304)

    :proper_types.oneof([
      {:spawned, pid},
      {:ready, pid},
      :running,
      {:pty_out, :proper_types.binary()},
      {:pty_in_dropped, pid},
      {:exited, :proper_types.integer(0, 255)},
      {:signaled, :proper_types.integer(1, 64)},
      {:aborted, pid},
      let {errno, stage} <-
            {:proper_types.integer(1, 133), :proper_types.oneof(Protocol.stages())} do
        {:error, Error.new(stage, errno)}
      end
    ])
  end

  defp term(:running), do: {:status, :running}
  defp term({:error, %Error{errno: errno, stage: stage}}), do: {:error, errno, stage}
  defp term({kind, value}) when kind in [:pty_out, :pty_in_dropped], do: {kind, value}
  defp term({kind, value}), do: {:status, kind, value}

  defp decoded?(:error), do: true
  defp decoded?({:ok, {:error, %Error{}}}), do: true
  defp decoded?({:ok, event}), do: is_tuple(event) or event == :running

  defp truncated do
    let {event, cut} <- {event(), :proper_types.integer(0, 10)} do
      frame = :erlang.term_to_binary(term(event))
      binary_part(frame, 0, max(byte_size(frame) - cut, 0))
    end
  end

  defp flipped do
    let {event, at, value} <-
          {event(), :proper_types.integer(0, 1000), :proper_types.integer(0, 255)} do
      frame = :erlang.term_to_binary(term(event))
      at = rem(at, byte_size(frame))
      <<before::binary-size(at), _byte, rest::binary>> = frame
      <<before::binary, value, rest::binary>>
    end
  end

  defp string do
    let characters <- :proper_types.list(:proper_types.integer(1, 255)) do
      :binary.list_to_bin(characters)
    end
  end

  defp maybe(type), do: :proper_types.oneof([nil, type])

  defp request do
    let {kind, argv, env, namespaces, cwd, no_new_privs, grace} <-
          {:proper_types.oneof([:spawn, :enter]),
           :proper_types.non_empty(:proper_types.list(string())),
           maybe(:proper_types.list(string())),
           maybe(:proper_types.list(:proper_types.oneof(Protocol.namespaces()))), maybe(string()),
           maybe(:proper_types.boolean()), maybe(:proper_types.integer(0, 0x7FFFFFFF))} do
      %Request{
        kind: kind,
        argv: argv,
        env: env,
        namespaces: namespaces,
        cwd: cwd,
        no_new_privs: no_new_privs,
        orphan_policy: grace && {:kill, grace}
      }
    end
  end
end
