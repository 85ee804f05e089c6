module {{name}}

go 1.26

require weir.dev/plugin v0.0.0

replace weir.dev/plugin => ./sdk
