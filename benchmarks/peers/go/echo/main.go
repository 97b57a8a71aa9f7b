// A grpc-go server that answers every call with the same bytes: what gRPC itself can do.
//
//	echo FILE        prints its address as a line of JSON; ends with its standard input
//
// As the examples of grpc-go write a server; its codec hands bytes through, so that no message is
// parsed or made.
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"os"

	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
)

const service = "impressions.v1.ImpressionsService"

type bytesCodec struct{}

func (bytesCodec) Name() string { return "bytes" }

func (bytesCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (bytesCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

func main() {
	reply, err := os.ReadFile(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	answer := func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		var request []byte
		if err := decode(&request); err != nil {
			return nil, err
		}
		return reply, nil
	}
	server := grpc.NewServer(grpc.ForceServerCodecV2(bytesCodec{}))
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: service,
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{
			{MethodName: "GetProfile", Handler: answer},
			{MethodName: "BatchGetProfiles", Handler: answer},
		},
	}, nil)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Fatal(server.Serve(listener)) }()
	fmt.Printf("{\"address\": %q}\n", listener.Addr())
	io.Copy(io.Discard, os.Stdin)
}
