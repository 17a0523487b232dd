defmodule LinxProcess.ProtocolTest do
  use ExUnit.Case, async: true

  alias LinxProcess.{Error, Protocol, Request}

  describe "events" do
    for {term, event} <- [
          {{:status, :spawned, 7}, {:spawned, 7}},
          {{:status, :ready, 1}, {:ready, 1}},
          {{:status, :running}, :running},
          {{:pty_out, "x"}, {:pty_out, "x"}},
          {{:pty_in_dropped, 9}, {:pty_in_dropped, 9}},
          {{:status, :exited, 255}, {:exited, 255}},
          {{:status, :signaled, 31}, {:signaled, 31}},
          {{:status, :aborted, 1}, {:aborted, 1}}
        ] do
      test "#{inspect(term)} is #{inspect(event)}" do
        frame = :erlang.term_to_binary(unquote(Macro.escape(term)))
        assert Protocol.decode_event(frame) == {:ok, unquote(Macro.escape(event))}
      end
    end

    test "an error has its errno and its stage, each stage" do
      for stage <- Protocol.stages() do
        frame = :erlang.term_to_binary({:error, 13, stage})
        assert {:ok, {:error, error}} = Protocol.decode_event(frame)
        assert %Error{stage: ^stage, errno: 13} = error
        assert Exception.message(error) =~ "EACCES"
      end
    end

    for term <- [
          {:status, :spawned, 0},
          {:status, :spawned, "7"},
          {:status, :running, 1},
          {:status, :exited, 256},
          {:status, :exited, -1},
          {:status, :signaled, 0},
          {:status, :signaled, 65},
          {:status, :sleeping, 1},
          {:error, 0, :clone},
          {:error, 1, :ok},
          {:pty_out, [1]},
          {:pty_in_dropped, 0},
          :running,
          []
        ] do
      test "#{inspect(term)} is none" do
        assert Protocol.decode_event(:erlang.term_to_binary(unquote(Macro.escape(term)))) == :error
      end
    end

    test "an agent makes no atoms here" do
      name = "an_atom_that_is_nowhere_#{System.unique_integer([:positive])}"
      frame = <<131, 104, 2, 119, byte_size(name), name::binary, 97, 1>>
      assert Protocol.decode_event(frame) == :error
      assert_raise ArgumentError, fn -> String.to_existing_atom(name) end
    end
  end

  test "frames beyond the limits are not made" do
    request = %Request{kind: :spawn, argv: [String.duplicate("x", Protocol.max_request())]}
    assert Protocol.encode_request(request) == {:error, :request_too_big}
    assert Protocol.encode_command({:pty_in, String.duplicate("x", 1024 * 1024)}) == :error
  end
end
