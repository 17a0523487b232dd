defmodule TestSupport.Readme do
  @path Path.expand("../../README.md", __DIR__)
  @external_resource @path
  @moduledoc File.read!(@path)
end
