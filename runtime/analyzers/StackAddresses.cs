// What an expression is, in one body of code: the address of something on the stack, a place on the stack, a
// place outside of it, or, for most, none that we know of.
//
// By syntax, since Roslyn's tree of operations has no nodes for pointers. A local has the address of
// something if it is given one anywhere in the body: the order of statements is not looked at. Parameters,
// what calls return and what is read through pointers may be anything, so nothing is said of them.

using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace Weft.Analyzers;

internal sealed class StackAddresses
{
    private readonly SemanticModel _model;
    private readonly CancellationToken _cancellation;
    private readonly Dictionary<ISymbol, List<Given>> _given = new(SymbolEqualityComparer.Default);
    private readonly HashSet<ISymbol> _captured = new(SymbolEqualityComparer.Default);

    // The locals with an address or a span of the stack, or that are another name of a place there; the
    // members of locals that have an address; and the locals that point outside whatever they are given.
    private readonly HashSet<ISymbol> _known = new(SymbolEqualityComparer.Default);
    private readonly HashSet<(ISymbol, ISymbol)> _members = [];
    private readonly HashSet<ISymbol> _outside = new(SymbolEqualityComparer.Default);

    internal StackAddresses(SemanticModel model, SyntaxNode body, CancellationToken cancellation)
    {
        _model = model;
        _cancellation = cancellation;
        foreach (SyntaxNode node in body.DescendantNodes())
        {
            Collect(node);
        }
        // Until nothing changes: what is known grows, and what points outside shrinks.
        bool learned;
        do
        {
            learned = false;
            foreach (KeyValuePair<ISymbol, List<Given>> local in _given)
            {
                learned |= Learn((ILocalSymbol)local.Key, local.Value);
            }
        }
        while (learned);
        _outside.UnionWith(_given.Keys);
        while (_outside.RemoveWhere(local => !_given[local].All(given => PointsOutside(given.Value))) > 0)
        {
        }
    }

    /// <summary>What a local, or one of its members, is given.</summary>
    private readonly struct Given(ISymbol? member, ExpressionSyntax value)
    {
        internal ISymbol? Member { get; } = member;
        internal ExpressionSyntax Value { get; } = value;
    }

    /// <summary>The address of something on the stack, as a pointer or as a number; or a struct with such a
    /// one in it.</summary>
    internal bool IsAddress(ExpressionSyntax expression) => expression switch
    {
        ParenthesizedExpressionSyntax inner => IsAddress(inner.Expression),
        CastExpressionSyntax cast => MayHoldAddress(Type(cast)) && IsAddress(cast.Expression),
        CheckedExpressionSyntax inner => IsAddress(inner.Expression),
        PrefixUnaryExpressionSyntax prefix when prefix.IsKind(SyntaxKind.AddressOfExpression) =>
            IsOnStack(prefix.Operand),
        PostfixUnaryExpressionSyntax postfix => IsAddress(postfix.Operand),
        BinaryExpressionSyntax binary => IsAddressComputed(binary),
        ConditionalExpressionSyntax conditional =>
            IsAddress(conditional.WhenTrue) || IsAddress(conditional.WhenFalse),
        SwitchExpressionSyntax choice => choice.Arms.Any(arm => IsAddress(arm.Expression)),
        AssignmentExpressionSyntax assignment => IsAddress(assignment.Right),
        StackAllocArrayCreationExpressionSyntax or ImplicitStackAllocArrayCreationExpressionSyntax =>
            _model.GetTypeInfo(expression, _cancellation).ConvertedType is IPointerTypeSymbol,
        TupleExpressionSyntax tuple => tuple.Arguments.Any(argument => IsAddress(argument.Expression)),
        BaseObjectCreationExpressionSyntax creation => IsStructWithAddress(creation),
        InvocationExpressionSyntax invocation => IsAddressReturned(invocation),
        MemberAccessExpressionSyntax access => IsMemberAddress(access),
        IdentifierNameSyntax name when Symbol(name) is ILocalSymbol { RefKind: RefKind.None } local =>
            MayHoldAddress(local.Type) && _known.Contains(local),
        _ => false,
    };

    /// <summary>A place outside of the stack that keeps what is written there.</summary>
    internal bool IsOutside(ExpressionSyntax place)
    {
        place = Bare(place);
        switch (place)
        {
            case ElementAccessExpressionSyntax element:
                ITypeSymbol? type = Type(element.Expression);
                return type is IArrayTypeSymbol
                    || (type is IPointerTypeSymbol && PointsOutside(element.Expression))
                    || (Symbol(element) is IPropertySymbol { ReturnsByRef: false } && type!.IsReferenceType);
            case PrefixUnaryExpressionSyntax star when star.IsKind(SyntaxKind.PointerIndirectionExpression):
                return PointsOutside(star.Operand);
            case MemberAccessExpressionSyntax arrow when IsArrow(arrow):
                return PointsOutside(arrow.Expression);
        }
        return Symbol(place) switch
        {
            IFieldSymbol or IPropertySymbol { ReturnsByRef: false } => IsMemberOutside(place),
            ILocalSymbol { RefKind: RefKind.None } local => IsOfAnOuterFunction(local, place),
            _ => false,
        };
    }

    // A place without the parentheses around it, and without `ref`.
    private static ExpressionSyntax Bare(ExpressionSyntax place) => place switch
    {
        ParenthesizedExpressionSyntax inner => Bare(inner.Expression),
        RefExpressionSyntax inner => Bare(inner.Expression),
        _ => place,
    };

    private bool IsMemberOutside(ExpressionSyntax place)
    {
        ISymbol member = Symbol(place)!;
        if (member.IsStatic || member.ContainingType.IsReferenceType)
        {
            return true;
        }
        // A member of a struct is where the struct is; `this` in a struct may be anywhere.
        return place is MemberAccessExpressionSyntax access && IsOutside(access.Expression);
    }

    // A lambda writes to a variable of the function around it: the variable lies in an object.
    private bool IsOfAnOuterFunction(ILocalSymbol local, ExpressionSyntax place) =>
        _captured.Contains(local)
        && place.Ancestors().OfType<AnonymousFunctionExpressionSyntax>().FirstOrDefault() is { } function
        && !Declares(function, local);

    private bool PointsOutside(ExpressionSyntax pointer) => pointer switch
    {
        ParenthesizedExpressionSyntax inner => PointsOutside(inner.Expression),
        CastExpressionSyntax cast => PointsOutside(cast.Expression),
        BinaryExpressionSyntax binary => PointsOutside(binary.Left),
        _ => Symbol(pointer) switch
        {
            IMethodSymbol method => IsAllocation(method),
            IFieldSymbol { IsFixedSizeBuffer: false } or IPropertySymbol => IsMemberOutside(pointer),
            ILocalSymbol local => _outside.Contains(local),
            _ => false,
        },
    };

    private static bool IsAllocation(IMethodSymbol method) => method.ContainingType.Name switch
    {
        "NativeMemory" => true,
        "Marshal" => method.Name.StartsWith("Alloc", System.StringComparison.Ordinal),
        _ => false,
    };

    /// <summary>A variable, or a part of one, that lies in a frame of the stack.</summary>
    private bool IsOnStack(ExpressionSyntax place)
    {
        place = Bare(place);
        switch (place)
        {
            case PrefixUnaryExpressionSyntax star when star.IsKind(SyntaxKind.PointerIndirectionExpression):
                return IsAddress(star.Operand);
            case MemberAccessExpressionSyntax arrow when IsArrow(arrow):
                return IsAddress(arrow.Expression);
            case MemberAccessExpressionSyntax access:
                return Symbol(access) is IFieldSymbol { IsStatic: false }
                    && Type(access.Expression) is { IsValueType: true } && IsOnStack(access.Expression);
            case ElementAccessExpressionSyntax element:
                return Type(element.Expression) switch
                {
                    IPointerTypeSymbol => IsAddress(element.Expression),
                    { IsRefLikeType: true } => IsSpan(element.Expression),
                    { } type => IsInlineArray(type) && IsOnStack(element.Expression),
                    _ => false,
                };
            case InvocationExpressionSyntax invocation:
                return IsReferenceReturned(invocation);
        }
        return Symbol(place) switch
        {
            ILocalSymbol { RefKind: RefKind.None, IsConst: false } local => IsInFrame(local),
            ILocalSymbol { RefKind: not RefKind.None } local => _known.Contains(local),
            IParameterSymbol { RefKind: RefKind.None, IsThis: false, ContainingSymbol: IMethodSymbol method }
                parameter => method.MethodKind != MethodKind.Constructor ? IsInFrame(parameter)
                    : IsInFrame(parameter) && !IsPrimary(method),
            _ => false,
        };
    }

    // Not the variables that lambdas share, nor those of iterators and async functions: they are in objects.
    private bool IsInFrame(ISymbol variable) =>
        !_captured.Contains(variable)
        && variable.ContainingSymbol is not IMethodSymbol { IsAsync: true }
        && !IsIterator(variable.ContainingSymbol);

    private bool IsIterator(ISymbol function) => function.DeclaringSyntaxReferences.Any(
        reference => reference.GetSyntax(_cancellation).DescendantNodes().Any(
            node => node is YieldStatementSyntax));

    private bool IsPrimary(IMethodSymbol constructor) => constructor.DeclaringSyntaxReferences.Any(
        reference => reference.GetSyntax(_cancellation) is TypeDeclarationSyntax);

    private static bool IsInlineArray(ITypeSymbol type) =>
        type.GetAttributes().Any(attribute => attribute.AttributeClass?.Name == "InlineArrayAttribute");

    // ref Unsafe.As<int, byte>(ref local) and the like: a reference to where the argument is.
    private bool IsReferenceReturned(InvocationExpressionSyntax invocation) =>
        Symbol(invocation) is IMethodSymbol { RefKind: not RefKind.None } method
        && (method.ContainingType.Name, method.Name) switch
        {
            ("Unsafe", "As" or "Add" or "Subtract" or "AddByteOffset" or "SubtractByteOffset" or "AsRef") =>
                invocation.ArgumentList.Arguments.Count > 0 && IsOnStack(First(invocation)),
            ("MemoryMarshal", "GetReference") => IsSpan(First(invocation)),
            (_, "GetPinnableReference") =>
                invocation.Expression is MemberAccessExpressionSyntax access && IsSpan(access.Expression),
            _ => false,
        };

    private bool IsAddressReturned(InvocationExpressionSyntax invocation) =>
        Symbol(invocation) is IMethodSymbol method && (method.ContainingType.Name, method.Name) switch
        {
            ("Unsafe", "AsPointer") => IsOnStack(First(invocation)),
            ("IntPtr" or "UIntPtr", "ToPointer" or "ToInt64" or "ToUInt64") =>
                invocation.Expression is MemberAccessExpressionSyntax access && IsAddress(access.Expression),
            _ => false,
        };

    /// <summary>A span of memory on the stack.</summary>
    private bool IsSpan(ExpressionSyntax expression) => expression switch
    {
        ParenthesizedExpressionSyntax inner => IsSpan(inner.Expression),
        CastExpressionSyntax cast => IsSpan(cast.Expression),
        ConditionalExpressionSyntax conditional =>
            IsSpan(conditional.WhenTrue) || IsSpan(conditional.WhenFalse),
        StackAllocArrayCreationExpressionSyntax or ImplicitStackAllocArrayCreationExpressionSyntax => true,
        ElementAccessExpressionSyntax element =>
            Type(element) is { IsRefLikeType: true } && IsSpan(element.Expression),
        BaseObjectCreationExpressionSyntax { ArgumentList.Arguments: { Count: > 0 } arguments } =>
            arguments[0].RefKindKeyword.IsKind(SyntaxKind.RefKeyword)
                ? IsOnStack(arguments[0].Expression) : IsAddress(arguments[0].Expression),
        InvocationExpressionSyntax invocation => IsSpanReturned(invocation),
        IdentifierNameSyntax name when Symbol(name) is ILocalSymbol local => local.Type.IsRefLikeType
            ? _known.Contains(local)
            : IsInlineArray(local.Type) && IsOnStack(name),
        _ => false,
    };

    private bool IsSpanReturned(InvocationExpressionSyntax invocation) =>
        Symbol(invocation) is IMethodSymbol method && (method.ContainingType.Name, method.Name) switch
        {
            ("Span" or "ReadOnlySpan", "Slice") =>
                invocation.Expression is MemberAccessExpressionSyntax access && IsSpan(access.Expression),
            ("MemoryMarshal", "CreateSpan" or "CreateReadOnlySpan") => IsOnStack(First(invocation)),
            ("MemoryMarshal", "Cast" or "AsBytes") => IsSpan(First(invocation)),
            _ => false,
        };

    // p + 4, p - 4 and p & ~15 are still inside; p - q and p & 15 are not addresses.
    private bool IsAddressComputed(BinaryExpressionSyntax binary)
    {
        bool left = IsAddress(binary.Left);
        return binary.Kind() switch
        {
            SyntaxKind.AddExpression => left || IsAddress(binary.Right),
            SyntaxKind.SubtractExpression => left && Type(binary.Right) is not IPointerTypeSymbol
                && !IsAddress(binary.Right),
            SyntaxKind.BitwiseAndExpression => left && (binary.Right.IsKind(SyntaxKind.BitwiseNotExpression)
                || binary.Right.IsKind(SyntaxKind.UnaryMinusExpression)),
            SyntaxKind.BitwiseOrExpression => left,
            _ => false,
        };
    }

    private bool IsStructWithAddress(BaseObjectCreationExpressionSyntax creation) =>
        Type(creation) is { IsValueType: true, IsRefLikeType: false }
        && ((creation.ArgumentList?.Arguments.Any(argument => IsAddress(argument.Expression)) ?? false)
            || (creation.Initializer?.Expressions.OfType<AssignmentExpressionSyntax>().Any(
                assignment => IsAddress(assignment.Right)) ?? false));

    private bool IsMemberAddress(MemberAccessExpressionSyntax access)
    {
        ISymbol? member = Symbol(access);
        return member is IFieldSymbol { IsFixedSizeBuffer: true }
            ? (IsArrow(access) ? IsAddress(access.Expression) : IsOnStack(access.Expression))
            : member is not null && !IsArrow(access)
                && Symbol(access.Expression) is ILocalSymbol { Type.IsValueType: true } local
                && _members.Contains((local, member));
    }

    // fixed (byte* p = span), fixed (int* p = &reference)
    private bool IsFixedAddress(ExpressionSyntax value) =>
        value.Parent?.Parent?.Parent?.Parent is FixedStatementSyntax
        && (value is PrefixUnaryExpressionSyntax address ? IsOnStack(address.Operand)
            : Type(value) is { IsRefLikeType: true } && IsSpan(value));

    private static bool MayHoldAddress(ITypeSymbol? type) => type is IPointerTypeSymbol
        || type is
        {
            IsValueType: true,
            IsRefLikeType: false,
            TypeKind: not TypeKind.Enum,
            SpecialType: SpecialType.None or SpecialType.System_IntPtr or SpecialType.System_UIntPtr
                or SpecialType.System_Int64 or SpecialType.System_UInt64,
        };

    private bool Learn(ILocalSymbol local, List<Given> all)
    {
        bool learned = false;
        foreach (Given given in all)
        {
            bool holds = local.RefKind != RefKind.None
                ? given.Value is RefExpressionSyntax && IsOnStack(given.Value)
                : local.Type.IsRefLikeType ? given.Member is null && IsSpan(given.Value)
                : MayHoldAddress(local.Type) && (IsAddress(given.Value) || IsFixedAddress(given.Value));
            learned |= holds && _known.Add(local);
            learned |= holds && given.Member is not null && _members.Add((local, given.Member));
        }
        return learned;
    }

    private void Collect(SyntaxNode node)
    {
        switch (node)
        {
            case VariableDeclaratorSyntax { Initializer.Value: { } value } declarator:
                Add(_model.GetDeclaredSymbol(declarator, _cancellation), null, value);
                break;
            case AssignmentExpressionSyntax given when given.IsKind(SyntaxKind.SimpleAssignmentExpression):
                if (given.Left is IdentifierNameSyntax)
                {
                    Add(Symbol(given.Left), null, given.Right);
                }
                else if (given.Left is MemberAccessExpressionSyntax access && !IsArrow(access)
                    && Symbol(access.Expression) is ILocalSymbol { Type.IsValueType: true } local)
                {
                    Add(local, Symbol(access), given.Right);
                }
                break;
            case AnonymousFunctionExpressionSyntax function:
                foreach (ISymbol variable in Captures(function))
                {
                    _captured.Add(variable);
                }
                break;
        }
    }

    /// <summary>The variables of the functions around it that a function uses.</summary>
    internal IEnumerable<ISymbol> Captures(SyntaxNode function) => function.DescendantNodes()
        .OfType<IdentifierNameSyntax>()
        .Select(Symbol)
        .Where(symbol => symbol is ILocalSymbol { IsConst: false } or IParameterSymbol)
        .Where(symbol => !Declares(function, symbol!))
        .Distinct(SymbolEqualityComparer.Default)!;

    private static bool Declares(SyntaxNode function, ISymbol variable) =>
        variable.DeclaringSyntaxReferences.Any(reference =>
            reference.SyntaxTree == function.SyntaxTree && function.Span.Contains(reference.Span));

    private static bool IsArrow(MemberAccessExpressionSyntax access) =>
        access.IsKind(SyntaxKind.PointerMemberAccessExpression);

    private void Add(ISymbol? local, ISymbol? member, ExpressionSyntax value)
    {
        if (local is not ILocalSymbol)
        {
            return;
        }
        if (!_given.TryGetValue(local, out List<Given>? all))
        {
            _given.Add(local, all = []);
        }
        all.Add(new Given(member, value));
    }

    internal ISymbol? Symbol(ExpressionSyntax expression) =>
        _model.GetSymbolInfo(expression, _cancellation).Symbol;

    internal ITypeSymbol? Type(ExpressionSyntax expression) =>
        _model.GetTypeInfo(expression, _cancellation).Type;

    private static ExpressionSyntax First(InvocationExpressionSyntax invocation) =>
        invocation.ArgumentList.Arguments[0].Expression;
}
