// Package kubernetes is imported by Helm so that its module is in the build information.
package kubernetes
