// Package discovery answers that there is no cluster.
package discovery

import (
	"errors"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// DiscoveryClient would ask a cluster what it serves.
type DiscoveryClient struct{}

// ServerResourcesForGroupVersion has nothing to ask.
func (*DiscoveryClient) ServerResourcesForGroupVersion(string) (*metav1.APIResourceList, error) {
	return nil, errors.New("there is no cluster in a render")
}

// NewDiscoveryClientForConfig has nothing to reach.
func NewDiscoveryClientForConfig(*rest.Config) (*DiscoveryClient, error) {
	return nil, errors.New("there is no cluster in a render")
}
