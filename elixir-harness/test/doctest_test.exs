defmodule LinxProcess.DocTest do
  use ExUnit.Case, async: true

  doctest LinxProcess
  doctest LinxProcess.Binary
  doctest LinxProcess.Capability
  doctest LinxProcess.Errno
  doctest LinxProcess.Error
  doctest LinxProcess.Machine
  doctest LinxProcess.OptionError
  doctest LinxProcess.Options
  doctest LinxProcess.Protocol
  doctest LinxProcess.Request
  doctest LinxProcess.Result
  doctest LinxProcess.Signal
  doctest LinxProcess.UserNS
  doctest LinxProcess.Waiters
end
